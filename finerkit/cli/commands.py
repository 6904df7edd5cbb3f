"""Run finerkit from the command line: the same verbs as in Python; findings and file names are printed."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from finerkit._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``finerkit``; the exit status is 0, 2 for wrong input (explained in one line), or 130 if interrupted."""
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            options.run(options)
    except KeyboardInterrupt:
        print("Interrupted. What was finished is kept: run the same command again to go on.", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if options.debug:
            raise
        print(f"finerkit: {error}", file=sys.stderr)
        return 2
    return 0


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"finerkit: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "finerkit", description="What tells a species from its look-alikes: where on the body, how consistently."
    )
    parser.add_argument("--version", action="version", version=f"finerkit {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add in (_add_demo, _add_analyze, _add_compare, _add_traits, _add_guide, _add_lab):
        add(verbs)
    return parser


def _add_demo(verbs: argparse._SubParsersAction) -> None:
    demo = verbs.add_parser("demo", help="run the main job on embedded photos (about a minute)")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder to write (default: demo)")
    demo.add_argument("--photos", type=int, default=24, help="drawn photos per species, at most 24 (default: 24)")
    demo.set_defaults(run=_demo)


def _add_analyze(verbs: argparse._SubParsersAction) -> None:
    verb = verbs.add_parser("analyze", help="embed photos, fit the species head, keep a study")
    verb.add_argument("source", help="folder of species folders, flat folder, or table")
    verb.add_argument(
        "--store", required=True, metavar="NAME.zarr", help="study to write, or to go on with: a folder or 's3://...'"
    )
    verb.add_argument("--table", metavar="FILE", help="CSV, TSV or Parquet table of the photos in SOURCE")
    verb.add_argument("--species", metavar="COLUMN", help="the table's column with the species")
    verb.add_argument("--path", metavar="COLUMN", help="the table's column with the file")
    verb.add_argument("--model", default="efficientnet-lite0", help="'efficientnet-lite0' (default) or any timm name")
    verb.add_argument("--weights", metavar="FILE", help="checkpoint to load into the model")
    verb.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the network's input")
    verb.add_argument("--fit", default="squash", choices=("squash", "pad", "crop"), help="how photos are made square")
    verb.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    verb.add_argument(
        "--precision", default="float32", choices=("float32", "float16", "bfloat16"), help="of the network"
    )
    verb.add_argument("--head", default="linear", choices=("linear", "nearest_mean", "model"))
    verb.add_argument("--groups", nargs="+", metavar="COLUMN", help="photos that share a value stay in one fold")
    verb.add_argument("--keep-features", default="auto", choices=("auto", "yes", "no"), help="keep feature maps")
    verb.add_argument("--overwrite", action="store_true", help="replace a different study of that name")
    verb.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask cluster that shares the work: its address, or its scheduler file"
    )
    verb.set_defaults(run=_analyze)


def _add_question(verb: argparse.ArgumentParser) -> None:
    """What every verb that puts a question to a study asks for."""
    verb.add_argument("store", metavar="NAME.zarr", help="study, from 'finerkit analyze'")
    verb.add_argument("target", help="species to explain")
    verb.add_argument("--references", nargs="+", metavar="SPECIES", help="default: the nearest look-alikes")
    verb.add_argument("-k", type=int, help="how many look-alikes (default: up to 3)")


def _add_folder(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder to write (default: here)")


def _add_compare(verbs: argparse._SubParsersAction) -> None:
    verb = verbs.add_parser("compare", help="what tells a species of a study from others: figure and table")
    _add_question(verb)
    _add_folder(verb)
    verb.add_argument("--by", default=None, help="embedding, weights, logits, confusion or taxonomy")
    verb.add_argument("--weights", metavar="FILE", help="the study's checkpoint, if it was made with one")
    verb.add_argument("--method", default="cam", choices=("cam", "gradcam", "hirescam"))
    verb.add_argument("--detail", default="cell", choices=("cell", "fine"), help="fine: twice the rows and columns")
    verb.add_argument("--layer", help="for gradcam, hirescam and --detail fine: the layer's dotted name")
    verb.add_argument("--objective", default="mean", choices=("mean", "softmax", "official"))
    verb.add_argument("--strength", type=float, nargs="+", default=[0.0, 0.6, 1.0], help="default: 0 0.6 1")
    verb.add_argument("--photos", type=int, default=4, help="rows of the figure (default: 4)")
    verb.set_defaults(run=_compare)


def _add_traits(verbs: argparse._SubParsersAction) -> None:
    verb = verbs.add_parser("traits", help="cluster what tells a species apart into traits: sheet, tables, regions")
    _add_question(verb)
    _add_folder(verb)
    verb.add_argument("--strength", type=float, default=1.0, help="comparison strength (default: 1)")
    verb.add_argument("--traits", type=int, metavar="N", help="how many traits (default: as many as are stable)")
    verb.add_argument("--test", metavar="COLUMN", help="test each trait against this column of the table, such as sex")
    verb.set_defaults(run=_traits)


def _add_guide(verbs: argparse._SubParsersAction) -> None:
    verb = verbs.add_parser("guide", help="write a page to send: photos, strength explorer, traits, limits, provenance")
    _add_question(verb)
    verb.add_argument("--out", type=Path, default=Path("guide.html"), metavar="FILE", help="default: guide.html")
    verb.add_argument("--strength", type=float, default=1.0, help="of the traits and of the slider (default: 1)")
    verb.add_argument("--traits", type=int, metavar="N", help="how many (default: as many as are stable; 0: none)")
    verb.add_argument("--scores", action="store_true", help="measure the maps too (minutes: runs the network)")
    verb.add_argument("--photos", type=int, default=12, help="photos in the strength explorer (default: 12)")
    verb.add_argument("--title", help="default: How to tell A from B")
    verb.add_argument("--author", help="who answers for the page")
    verb.set_defaults(run=_guide)


def _add_lab(verbs: argparse._SubParsersAction) -> None:
    verb = verbs.add_parser("lab", help="copy the tutorials into a folder and open JupyterLab there")
    folder = Path("finerkit-tutorials")
    verb.add_argument("folder", nargs="?", type=Path, default=folder, help=f"folder of the copies (default: {folder})")
    verb.add_argument("--no-browser", action="store_true", help="print JupyterLab's address, do not open a browser")
    verb.add_argument("--copy-only", action="store_true", help="copy the tutorials, do not start JupyterLab")
    verb.add_argument(
        "--jupyter", default="", metavar="OPTIONS", help="options of 'jupyter lab', as in --jupyter='--port 9000'"
    )
    verb.set_defaults(run=_lab)


def _demo(options: argparse.Namespace) -> None:
    from finerkit.base.checks import whole
    from finerkit.cli.demo import run_demo

    run_demo(options.out, whole(options.photos, "--photos", 5, hint="Cross-validation has five folds."))


def _analyze(options: argparse.Namespace) -> None:
    import finerkit as fk
    from finerkit.cli.report import accuracy_words

    images = fk.read_images(options.source, options.table, species=options.species, path=options.path)
    model = fk.load_model(
        options.model, options.image_size, options.device,
        fit=options.fit, weights=options.weights, precision=options.precision,
    )  # fmt: skip
    keep = {"auto": "auto", "yes": True, "no": False}[options.keep_features]
    from finerkit.analysis.cluster import connect  # imports torch, as the model does

    with connect(options.scheduler) if options.scheduler else nullcontext() as client:
        study = fk.analyze(
            images, model, options.store, options.head,
            keep_features=keep, groups=options.groups, overwrite=options.overwrite, client=client,
        )  # fmt: skip
    status, species = study["images"]["status"].values, study["species"].sizes["species"]
    print(f"{(status == 'ok').sum()} of {len(status)} photos analysed, {species} species.")
    if accuracy := accuracy_words(study):
        print(f"Cross-validated accuracy: {accuracy}")
    print(f"Study: {options.store}")


def _compare(options: argparse.Namespace) -> None:
    import finerkit as fk
    from finerkit.cli.report import summary, write_report

    study, model = fk.open_study(options.store), None
    if options.weights:
        from finerkit.networks.of_study import load_again

        model = load_again(study.attrs, options.weights)
    pair = fk.compare(
        study, options.target, _references(options), options.method,
        detail=options.detail, objective=options.objective, by=options.by, layer=options.layer, model=model,
    )  # fmt: skip
    strongest = max(options.strength)
    print(summary(pair, strongest))
    files = write_report(pair, options.out, options.strength, options.photos, strongest)
    print(f"Picture     {files.picture}\nInteractive {files.interactive}\nTable       {files.table}")


def _references(options: argparse.Namespace) -> list[str] | int | str:
    if options.references and options.k is not None:
        raise ValueError("Give --references or -k, not both.")
    return options.references or options.k or "auto"


def _traits(options: argparse.Namespace) -> None:
    import finerkit as fk
    from finerkit.cli.report import trait_table, write_trait_report

    study = fk.open_study(options.store)
    traits = _traits_of(study, fk.compare(study, options.target, _references(options)), options)
    print(trait_table(traits).to_string(na_rep="-"))
    if options.test:
        tested = fk.test_traits(traits, options.test)
        print(f"\nAgainst {options.test}:\n{tested.to_string(float_format=lambda v: f'{v:.3g}')}")
    files = write_trait_report(traits, options.out)
    print(f"Sheet       {files.sheet}\nPhenotypes  {files.phenotypes}")
    print(f"Traits      {files.traits}\nRegions     {files.regions}")


def _traits_of(study: xr.DataTree, pair: xr.Dataset, options: argparse.Namespace) -> xr.Dataset:
    """The traits that a person edited, where there are some; else found now."""
    import finerkit as fk
    from finerkit.base.names import file_stem
    from finerkit.base.provenance import check_same_origin
    from finerkit.base.roles import references_of, target_of

    name = file_stem(target_of(pair), references_of(pair))
    kept = study.finerkit.trait(name) if name in study.finerkit.traits() else None
    if kept is None or not kept.attrs.get("edited"):
        return fk.find_traits(pair, options.strength, options.traits or "auto")
    call = "fk.find_traits(comparison, overwrite=True), or find others beside them with name='...'"
    check_same_origin(kept, pair, f"traits {name!r}, edited by hand,", call)
    print(f"Using the traits {name!r} as they were edited by hand ({kept.attrs['edited']} edits).")
    return kept


def _guide(options: argparse.Namespace) -> None:
    import finerkit as fk

    study = fk.open_study(options.store)
    pair = fk.compare(study, options.target, _references(options))
    traits = _traits_of(study, pair, options) if options.traits != 0 else None
    scores = fk.score(pair, sorted({0.0, options.strength})) if options.scores else None
    page = fk.write_guide(
        options.out, pair, traits, scores,
        title=options.title, author=options.author, n_photos=options.photos, strength=options.strength,
    )  # fmt: skip
    print(f"Guide       {page} ({page.stat().st_size / 1e6:.1f} MB; opens in any browser, offline)")


def _lab(options: argparse.Namespace) -> None:
    from finerkit.cli.lab import copy_tutorials, open_lab

    done = copy_tutorials(options.folder)
    print(f"{len(done.copied)} tutorials copied to {done.folder}, {len(done.same)} were there already.")
    if done.kept:
        print(f"Kept, since they differ from finerkit's: {', '.join(done.kept)}. Rename them to get fresh copies.")
    if not options.copy_only:
        open_lab(done.folder, [*["--no-browser"] * options.no_browser, *shlex.split(options.jupyter)])


if __name__ == "__main__":
    sys.exit(main())
