"""What a command shows: words, pictures, bars, and the next command. Nothing here prints by itself."""
