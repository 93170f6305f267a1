"""The backbones in other libraries: a file for each, which is imported where its library is."""
