"""How the built-in network, ``compact``, is distilled from VGG-19. Not a part of the package."""
