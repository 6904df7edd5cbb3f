"""Define what is measured: each metric's dim, unit, definition and source."""

from __future__ import annotations

from typing import NamedTuple

#: Metrics by what they need: the network, masks of the animal, masks of the trait.
NETWORK_METRICS = ("relative_drop", "margin_drop", "deletion", "insertion")
MASK_METRICS = ("energy", "pointing")
TRAIT_METRICS = ("trait_precision", "trait_recall", "average_precision")
#: Those that hide the strongest share `top`; they need the same forward passes.
DROPS = ("relative_drop", "margin_drop")
METRICS = (*NETWORK_METRICS, *MASK_METRICS, *TRAIT_METRICS)

#: The contrast itself and what it has to beat.
MAPS = {
    "contrast": "the comparison's map, relu, at each strength",
    "random": "every cell uniform at random, by seed and image id",
    "edge": "mean brightness gradient of each cell",
}

_RISE = "Petsiuk, Das, Saenko: RISE, BMVC 2018, arXiv 1806.07421"


class Definition(NamedTuple):
    """What a variable over (image, map_kind, strength), and a further dim, or over image alone, holds."""

    long_name: str
    units: str
    definition: str
    source: str = ""
    dim: str | None = None

    def attrs(self) -> dict[str, str]:
        """For the variable."""
        return {k: v for k, v in self._asdict().items() if v and k != "dim"}


PER_MAP = {
    "relative_drop": Definition(
        "relative drop",
        "probability",
        "(p_t - p_t*) - (p_r - p_r*): t the target, r the first reference, p the softmax over all the study's species, "
        "p* after hiding the share `top` of the input pixels that the map ranks highest; higher is better",
        "Zhang et al.: Finer-CAM, CVPR 2025, arXiv 2501.11309",
        "top",
    ),
    "margin_drop": Definition(
        "drop of the margin",
        "logit",
        "(y_t - y_r) - (y_t* - y_r*): as relative_drop, of logits, which do not saturate where the head is sure; "
        "higher is better",
        dim="top",
    ),
    "deletion": Definition(
        "deletion curve",
        "probability",
        "p of the target after hiding the share `step` of the pixels, strongest first",
        _RISE,
        "step",
    ),
    "deletion_area": Definition(
        "area under the deletion curve", "probability", "trapezoids over `step`; lower is better", _RISE
    ),
    "insertion": Definition(
        "insertion curve",
        "probability",
        "p of the target when only the strongest share `step` of the pixels is shown",
        _RISE,
        "step",
    ),
    "insertion_area": Definition(
        "area under the insertion curve", "probability", "trapezoids over `step`; higher is better", _RISE
    ),
    "energy": Definition(
        "energy inside the mask",
        "1",
        "share of the map's sum that lies in the mask, a cell's by the share of its area; chance is about mask_share",
        "Wang et al.: Score-CAM, CVPR Workshops 2020, arXiv 1910.01279",
    ),
    "pointing": Definition(
        "pointing game",
        "1",
        "1 where the centre of the strongest cell lies in the mask, else 0; no tolerance; chance is about mask_share",
        "Zhang et al.: Top-down neural attention by excitation backprop, IJCV 2018, arXiv 1608.00507",
    ),
    "trait_precision": Definition(
        "precision for the trait", "1", "share of the photo's strongest `top` of pixels that is trait", dim="top"
    ),
    "trait_recall": Definition(
        "recall of the trait", "1", "share of the trait that is in the photo's strongest `top` of pixels", dim="top"
    ),
    "average_precision": Definition(
        "average precision for the trait",
        "1",
        "scikit-learn's, over the photo's pixels, of the map upsampled bilinearly; chance is trait_share",
    ),
    "empty": Definition("map is empty", "1", "1 where nothing is positive; all measures of such a map are NaN"),
}

PER_IMAGE = {
    "probability": Definition("probability of the target", "probability", "of the whole photo"),
    "probability_reference": Definition("probability of the first reference", "probability", "of the whole photo"),
    "mask_share": Definition("share of the photo that the mask covers", "1", "by pixels"),
    "trait_share": Definition("share of the photo that the trait covers", "1", "by pixels"),
}
