"""YAML and JSON documents, read as kubectl reads them, with every fault of a text and the line where it is."""
