"""The review page: versions, their pictures and their measures in one HTML file that needs no network."""
