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
    """What a variable over (image, map_kind, strength), and a further dim, or over image alone, holds.

    ``title`` and ``words`` say it to readers (`words` may hold ``{top}``, the share of the pixels); ``axis`` names the
    further dim on a figure; ``more_is_better`` is None where neither is.
    """

    long_name: str
    units: str
    definition: str
    source: str = ""
    dim: str | None = None
    title: str = ""
    words: str = ""
    more_is_better: bool | None = None
    axis: str = ""

    def attrs(self) -> dict[str, str]:
        """For the variable."""
        kept = {name: getattr(self, name) for name in ("long_name", "units", "definition", "source")}
        return {name: text for name, text in kept.items() if text}


PER_MAP = {
    "relative_drop": Definition(
        "relative drop",
        "probability",
        "(p_t - p_t*) - (p_r - p_r*): t the target, r the first reference, p the softmax over all the study's species, "
        "p* after hiding the share `top` of the input pixels that the map ranks highest; higher is better",
        "Zhang et al.: Finer-CAM, CVPR 2025, arXiv 2501.11309",
        "top",
        "Relative drop",
        "Hide the strongest {top} of the photo: how much more does the network’s belief in the species fall than its "
        "belief in the nearest look-alike? Higher is better.",
        True,
    ),
    "margin_drop": Definition(
        "drop of the margin",
        "logit",
        "(y_t - y_r) - (y_t* - y_r*): as relative_drop, of logits, which do not saturate where the head is sure; "
        "higher is better",
        dim="top",
        more_is_better=True,
    ),
    "deletion": Definition(
        "deletion curve",
        "probability",
        "p of the target after hiding the share `step` of the pixels, strongest first",
        _RISE,
        "step",
        more_is_better=False,
        axis="share of pixels hidden",
    ),
    "deletion_area": Definition(
        "area under the deletion curve",
        "probability",
        "trapezoids over `step`; lower is better",
        _RISE,
        title="Deletion",
        words="Hide the photo bit by bit, strongest first: how long does the network go on recognising the species? "
        "Lower is better: the first bits mattered.",
        more_is_better=False,
    ),
    "insertion": Definition(
        "insertion curve",
        "probability",
        "p of the target when only the strongest share `step` of the pixels is shown",
        _RISE,
        "step",
        more_is_better=True,
        axis="share of pixels shown",
    ),
    "insertion_area": Definition(
        "area under the insertion curve",
        "probability",
        "trapezoids over `step`; higher is better",
        _RISE,
        title="Insertion",
        words="Show the photo bit by bit, strongest first: how soon does the network recognise the species? Higher is "
        "better.",
        more_is_better=True,
    ),
    "energy": Definition(
        "energy inside the mask",
        "1",
        "share of the map's sum that lies in the mask, a cell's by the share of its area; chance is about mask_share",
        "Wang et al.: Score-CAM, CVPR Workshops 2020, arXiv 1910.01279",
        title="On the animal",
        words="How much of the colour lies on the animal? 1 is all of it.",
        more_is_better=True,
    ),
    "pointing": Definition(
        "pointing game",
        "1",
        "1 where the centre of the strongest cell lies in the mask, else 0; no tolerance; chance is about mask_share",
        "Zhang et al.: Top-down neural attention by excitation backprop, IJCV 2018, arXiv 1608.00507",
        title="Strongest point",
        words="In what share of the photos is the strongest cell on the animal?",
        more_is_better=True,
    ),
    "trait_precision": Definition(
        "precision for the trait",
        "1",
        "share of the photo's strongest `top` of pixels that is trait",
        dim="top",
        title="Precision",
        words="Of the strongest {top} of the photo, how much is the trait that a person had marked?",
        more_is_better=True,
    ),
    "trait_recall": Definition(
        "recall of the trait",
        "1",
        "share of the trait that is in the photo's strongest `top` of pixels",
        dim="top",
        title="Recall",
        words="How much of the marked trait is in the strongest {top} of the photo?",
        more_is_better=True,
    ),
    "average_precision": Definition(
        "average precision for the trait",
        "1",
        "scikit-learn's, over the photo's pixels, of the map upsampled bilinearly; chance is trait_share",
        title="Average precision",
        words="How well does the map find the trait that a person had marked?",
        more_is_better=True,
    ),
    "empty": Definition("map is empty", "1", "1 where nothing is positive; all measures of such a map are NaN"),
}

PER_IMAGE = {
    "probability": Definition("probability of the target", "probability", "of the whole photo"),
    "probability_reference": Definition("probability of the first reference", "probability", "of the whole photo"),
    "mask_share": Definition("share of the photo that the mask covers", "1", "by pixels"),
    "trait_share": Definition("share of the photo that the trait covers", "1", "by pixels"),
}
