"""What is shown, said and kept of a version while it trains, and when it fails or is complete."""
