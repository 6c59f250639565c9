"""Numbers and pictures into something to read: a story, and the page that tells it. numpy and Pillow only."""
