"""Maps of scenes larger than memory: tiles, what is kept of an unfinished map, regions, and the files of a map."""
