"""What is minimised."""

from __future__ import annotations

from dataclasses import dataclass

from lorasweep.schema.option import option


@dataclass
class LossConfig:
    """What is minimised, and the noise it is measured on."""

    type: str = option(
        "l2",
        "distance between prediction and target",
        choices=("l2", "l1", "huber", "smooth_l1"),
        kohya="loss_type",
        meant={"mse": "l2", "mae": "l1"},
        ss="ss_loss_type",
    )
    huber_schedule: str = option(
        "snr",
        "how huber's threshold follows the timestep",
        choices=("constant", "exponential", "snr"),
        needs="loss.type=huber|smooth_l1",
    )
    huber_c: float = option(0.1, "huber's threshold", above=0, at_most=1, needs="loss.type=huber|smooth_l1")
    huber_scale: float = option(
        1.0,
        "factor on huber_c (constant and exponential schedules)",
        above=0,
        needs=("loss.type=huber|smooth_l1", "loss.huber_schedule=constant|exponential"),
    )
    min_snr_gamma: float | None = option(
        None,
        "min-SNR weighting with this gamma; null: off",
        above=0,
        ss="ss_min_snr_gamma",
    )
    debiased: bool = option(
        False,
        "debiased estimation: more weight to noisy timesteps, less to nearly clean ones",
        kohya="debiased_estimation_loss",
        ss="ss_debiased_estimation",
    )
    noise_offset: float = option(
        0.0,
        "strength of one extra draw per image and channel",
        at_least=0,
        ss="ss_noise_offset",
    )
    noise_offset_random: bool = option(
        False,
        "draw each image's noise offset between 0 and loss.noise_offset",
        kohya="noise_offset_random_strength",
        needs="loss.noise_offset",
        ss="ss_noise_offset_random_strength",
    )
    adaptive_noise_scale: float = option(
        0.0,
        "noise offset added per unit of a channel's mean latent, so that very dark and very bright images get more",
        at_least=-1,
        at_most=1,
        needs="loss.noise_offset",
        ss="ss_adaptive_noise_scale",
    )
    multires_iterations: int = option(
        0,
        "layers of coarser noise added to the noise (pyramid noise); 0: off",
        at_least=0,
        at_most=20,
        kohya="multires_noise_iterations",
        ss="ss_multires_noise_iterations",
    )
    multires_discount: float = option(
        0.3,
        "strength of each coarser layer relative to the one before",
        above=0,
        at_most=1,
        kohya="multires_noise_discount",
        needs="loss.multires_iterations",
        ss="ss_multires_noise_discount",
    )
    input_perturbation: float = option(
        0.0,
        "strength of extra noise in the noisy latents that the target knows nothing of",
        at_least=0,
        at_most=1,
        kohya="ip_noise_gamma",
        ss="ss_ip_noise_gamma",
    )
    input_perturbation_random: bool = option(
        False,
        "draw each image's perturbation between 0 and loss.input_perturbation",
        kohya="ip_noise_gamma_random_strength",
        needs="loss.input_perturbation",
        ss="ss_ip_noise_gamma_random_strength",
    )
    min_timestep: int = option(0, "first timestep trained; 0 has the least noise", at_least=0)
    max_timestep: int = option(1000, "end of the timesteps trained, itself not included", at_least=1)
    prior_loss_weight: float = option(
        1.0,
        "weight of regularisation images",
        at_least=0,
        needs="dataset.regularisation_path",
        ss="ss_prior_loss_weight",
    )
    unmasked_weight: float = option(
        0.0,
        "weight of the pixels that an image's mask leaves out (dataset.mask_path, dataset.alpha_mask)",
        at_least=0,
        below=1,
        needs="dataset.mask_path or dataset.alpha_mask",
    )
    preservation_class: str = option(
        "",
        "word for what the trigger is a case of, such as person: with it in the trigger's place, the base's "
        "prediction is kept; empty: off",
    )
    preservation_weight: float = option(
        1.0, "weight of keeping the base's prediction of the class", above=0, needs="loss.preservation_class"
    )
