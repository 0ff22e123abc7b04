"""What a small network costs in likeness and saves in time, beside VGG-19 alone; see ``__main__``."""
