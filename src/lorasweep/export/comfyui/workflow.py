"""The workflow that draws a version's samples in ComfyUI: a picture for each strength, prompt and seed.

    base -> helper LoRAs -> the version's LoRA, at each strength -> PuLID or IP-Adapter -> sampler -> refiner -> picture

Sampler and schedule are ComfyUI's usual ones for SDXL, `euler` and `normal`. Its noise for a seed is not ours, so
pictures are other draws of the same prompts, not the version's samples once more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lorasweep.export.comfyui.graph import Graph, Node, Output
from lorasweep.pictures.prompts import Prompt

REFINED_FROM = 0.8
"""The share of the steps after which the refiner takes over, as in Stability's own example for ComfyUI (20 of 25)."""
SAMPLING = {"sampler_name": "euler", "scheduler": "normal"}
PRESET = "PLUS (high strength)"  # of IP-Adapter: the one for SDXL that looks at a picture's details
PULID = "ip-adapter_pulid_sdxl_fp16.safetensors"  # as PuLID's page of nodes says where to get it


@dataclass(frozen=True)
class Helper:
    """A further LoRA at a fixed strength, such as one for hands.

    Attributes:
        file: its name in models/loras.
        strength: of both its parts.
    """

    file: str
    strength: float = 1.0


@dataclass(frozen=True)
class Reference:
    """A picture whose face or style is followed without training.

    Attributes:
        kind: how: by the node pack of PuLID or of IP-Adapter.
        image: its name in ComfyUI's folder `input`.
        weight: how closely it is followed.
    """

    kind: Literal["pulid", "ip-adapter"]
    image: str
    weight: float


@dataclass(frozen=True)
class WorkflowPlan:
    """What a workflow is to draw, and with which files.

    Attributes:
        stem: how its pictures are called: `FuzzyBear_v6`.
        checkpoint: name of the base in models/checkpoints, or of the version itself if it is one.
        lora: name of the version's LoRA in models/loras; None for a full fine-tune.
        strengths: of the LoRA; 0 draws the base.
        prompts: texts and seeds.
        negative: negative prompt.
        side: of a picture, in pixels.
        steps: of the sampler.
        guidance: classifier-free guidance.
        vae: name of another VAE in models/vae; None for the checkpoint's own.
        helpers: further LoRAs.
        reference: a picture to follow.
        refiner: name of a refiner in models/checkpoints; None for none.
        velocity: whether the base predicts velocities.
        zero_snr: whether the base's noise schedule ends in pure noise.
    """

    stem: str
    checkpoint: str
    lora: str | None
    strengths: Sequence[float]
    prompts: Sequence[Prompt]
    negative: str
    side: int
    steps: int
    guidance: float
    vae: str | None = None
    helpers: Sequence[Helper] = ()
    reference: Reference | None = None
    refiner: str | None = None
    velocity: bool = False
    zero_snr: bool = False


@dataclass(frozen=True)
class _Shared:
    """What all pictures of a workflow have in common.

    Attributes:
        latent: the empty latent that each begins with.
        vae: what decodes.
        refiner: the loaded refiner.
        negative: what the refiner makes of the negative prompt.
    """

    latent: Output
    vae: Output
    refiner: Node | None
    negative: Output | None


def build_graph(plan: WorkflowPlan) -> Graph:
    """Return the graph of nodes that draws a plan."""
    graph = Graph()
    loader = graph.add("CheckpointLoaderSimple", "base", ckpt_name=plan.checkpoint)
    model, clip = loader.output("MODEL"), loader.output("CLIP")
    vae = loader
    if plan.vae is not None:
        vae = graph.add("VAELoader", "VAE", vae_name=plan.vae)
    if plan.velocity:
        velocities = graph.add(
            "ModelSamplingDiscrete",
            "the base predicts velocities",
            model=model,
            sampling="v_prediction",
            zsnr=plan.zero_snr,
        )
        model = velocities.output("MODEL")
    for helper in plan.helpers:
        model, clip = _lora(graph, "helper LoRA", helper.file, helper.strength, model, clip, row=0)
    size = {"width": plan.side, "height": plan.side, "batch_size": 1}
    latent = graph.add("EmptyLatentImage", "size", **size).output("LATENT")
    refiner = negative = None
    if plan.refiner is not None:
        refiner = graph.add("CheckpointLoaderSimple", "refiner", ckpt_name=plan.refiner)
        negative = _text(graph, "negative prompt, for the refiner", plan.negative, refiner.output("CLIP"), row=0)
    following = _reference_nodes(graph, plan.reference) if plan.reference is not None else {}
    shared = _Shared(latent, vae.output("VAE"), refiner, negative)
    row = 0
    for strength in plan.strengths:
        graph.rows |= {row + 1 + index: f"{plan.stem} at {strength:g}" for index in range(len(plan.prompts))}
        own, words = model, clip
        if plan.lora is not None:
            title = f"{plan.stem} at {strength:g}"
            own, words = _lora(graph, title, plan.lora, strength, model, clip, row=row + 1)
        if plan.reference is not None:
            own = _follow(graph, plan.reference, own, following, row=row + 1)
        unwanted = _text(graph, "negative prompt", plan.negative, words, row=row + 1)
        for index, prompt in enumerate(plan.prompts):
            row += 1
            wanted = _text(graph, "prompt", prompt.text, words, row=row)
            latent = _sample(graph, plan, shared, prompt, own, wanted, unwanted, row)
            image = graph.add("VAEDecode", "decode", row, samples=latent, vae=shared.vae).output("IMAGE")
            # A folder per strength, a name per prompt and seed: what the pictures of a comparison are sorted by.
            name = f"{plan.stem}/strength_{strength:.2f}/prompt_{index:02d}_seed_{prompt.seed}"
            graph.add(
                "SaveImage", f"strength {strength:g}, seed {prompt.seed}", row, images=image, filename_prefix=name
            )
    return graph


def literal(text: str) -> str:
    """Return a prompt as ComfyUI is to read it: brackets are brackets, not weights."""
    return re.sub(r"\\?([()])", r"\\\1", text)


def _lora(
    graph: Graph, title: str, file: str, strength: float, model: Output, clip: Output, row: int
) -> tuple[Output, Output]:
    strengths = {"strength_model": strength, "strength_clip": strength}
    node = graph.add("LoraLoader", title, row, model=model, clip=clip, lora_name=file, **strengths)
    return node.output("MODEL"), node.output("CLIP")


def _text(graph: Graph, title: str, text: str, clip: Output, row: int) -> Output:
    return graph.add("CLIPTextEncode", title, row, text=literal(text), clip=clip).output("CONDITIONING")


def _sample(
    graph: Graph,
    plan: WorkflowPlan,
    shared: _Shared,
    prompt: Prompt,
    model: Output,
    wanted: Output,
    unwanted: Output,
    row: int,
) -> Output:
    """Add what denoises one picture; return its latent."""
    common = {"steps": plan.steps, "cfg": plan.guidance, **SAMPLING}
    prompts = {"positive": wanted, "negative": unwanted}
    if shared.refiner is None or shared.negative is None:
        own = {"seed": prompt.seed, "latent_image": shared.latent, "denoise": 1.0}
        return graph.add("KSampler", "sample", row, model=model, **common, **prompts, **own).output("LATENT")
    switch = min(max(round(REFINED_FROM * plan.steps), 1), plan.steps)
    base = graph.add(
        "KSamplerAdvanced",
        f"sample, steps 1 to {switch}",
        row,
        model=model,
        add_noise="enable",
        noise_seed=prompt.seed,
        **common,
        **prompts,
        latent_image=shared.latent,
        start_at_step=0,
        end_at_step=switch,
        return_with_leftover_noise="enable",
    )
    refined = _text(graph, "prompt, for the refiner", prompt.text, shared.refiner.output("CLIP"), row)
    return graph.add(
        "KSamplerAdvanced",
        "refine",
        row,
        model=shared.refiner.output("MODEL"),
        add_noise="disable",
        noise_seed=prompt.seed,
        **common,
        positive=refined,
        negative=shared.negative,
        latent_image=base.output("LATENT"),
        start_at_step=switch,
        end_at_step=10000,
        return_with_leftover_noise="disable",
    ).output("LATENT")


def _reference_nodes(graph: Graph, reference: Reference) -> dict[str, Output]:
    """Add what following a picture needs once; return the outputs that each strength's node is linked to."""
    image = graph.add("LoadImage", "picture to follow", image=reference.image).output("IMAGE")
    if reference.kind == "ip-adapter":
        return {"image": image}
    return {
        "image": image,
        "pulid": graph.add("PulidModelLoader", "PuLID", pulid_file=PULID).output("PULID"),
        "eva_clip": graph.add("PulidEvaClipLoader", "what looks at the picture").output("EVA_CLIP"),
        "face_analysis": graph.add("PulidInsightFaceLoader", "what finds faces", provider="CPU").output("FACEANALYSIS"),
    }


def _follow(graph: Graph, reference: Reference, model: Output, nodes: dict[str, Output], row: int) -> Output:
    """Add what has a model follow a picture; return the model."""
    when = {"weight": reference.weight, "start_at": 0.0, "end_at": 1.0}
    if reference.kind == "pulid":
        return graph.add("ApplyPulid", "PuLID", row, model=model, **nodes, method="fidelity", **when).output("MODEL")
    loaded = graph.add("IPAdapterUnifiedLoader", "IP-Adapter's files", row, model=model, preset=PRESET)
    own = {"model": loaded.output("MODEL"), "ipadapter": loaded.output("IPADAPTER"), "weight_type": "standard"}
    return graph.add("IPAdapter", "IP-Adapter", row, **own, **nodes, **when).output("MODEL")
