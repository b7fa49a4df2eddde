"""How a version begins: anew, from a file, where another one stopped, or where it stopped itself."""
