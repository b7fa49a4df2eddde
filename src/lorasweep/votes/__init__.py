"""People's votes on pairs of pictures: asked blind, stored at once, turned into strengths."""
