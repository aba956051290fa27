"""The commands `engram measure ...`: a file each, with the command under the name of the file."""
