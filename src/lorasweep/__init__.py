"""lorasweep: find good LoRAs of diffusion models by experiment."""
