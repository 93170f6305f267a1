"""The backbones in other libraries: one module each, named as its library, which it needs."""
