"""The forward process of a diffusion model: noise, targets, timesteps and losses. Pure functions of tensors."""
