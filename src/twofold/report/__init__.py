"""Pages, cards and tables from numbers and pictures. numpy and Pillow only."""
