"""Measuring tools: `engram measure ...`. They need the extra `tools`; a decoder never imports them."""
