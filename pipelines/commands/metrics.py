"""``platewise metrics``: batch against biology for any table of profiles."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipelines.commands.common import add_command, guarded
from pipelines.logs import Terminal, temporary_log_file
from trainer.strict import ConfigError

_DESCRIPTION = """\
Say how far the experiment and how far the treatment shape a table of profiles (one row a well
or an image; numeric columns are features), before and after each correction of batch effects:
batch probe, ASW, kBET, LISI, PCR, graph connectivity, cross-experiment mAP with p-values,
replicate correlation, shares of variance. Within each cell type where that is given."""

_EXAMPLES = """\
Examples:
  platewise metrics wells.csv --label Metadata_compound --experiment Metadata_batch --control DMSO
  platewise metrics wells.parquet --label sirna --experiment experiment --cell-type cell_type \\
      --control UNTREATED --plate plate --well well --features feature_ --correct tvn
Features: the columns whose name begins with --features (a prefix or a regular expression).
Without it: numeric columns without Metadata_ in their name; where none has it, those of Cells_,
Cytoplasm_ and Nuclei_; where there are none, all whose name holds no word such as plate or id.
Neighbours count the row itself, as in scib-metrics. Values agree with scib-metrics and copairs."""

#: Kept here, so that --help imports nothing heavy; a test compares them with the trainer's.
CORRECTIONS = ("centring", "tvn", "sphering", "sphering_oas", "harmony")
ON_CONTROLS = ("tvn", "sphering", "sphering_oas")
METRICS = (
    "batch_probe",
    "batch_asw",
    "kbet",
    "ilisi",
    "pcr",
    "graph_connectivity",
    "variance_experiment",
    "label_asw",
    "clisi",
    "map",
    "map_significant",
    "replicate_correlation",
    "percent_replicating",
    "variance_treatment",
)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    summary = "batch against biology for any table of profiles"
    # The table first: an option that takes several values would swallow it.
    usage = "platewise metrics PROFILES --label COLUMN --experiment COLUMN [OPTIONS]"
    parser = add_command(commands, "metrics", summary, _DESCRIPTION, usage=usage)
    parser.epilog = _EXAMPLES
    parser.add_argument("profiles", metavar="PROFILES", help="a .csv, .tsv (also .gz) or .parquet")
    parser.add_argument("--label", metavar="COLUMN", required=True, help="treatment of each row")
    parser.add_argument("--experiment", metavar="COLUMN", required=True, help="its experiment")
    _add_column_options(parser.add_argument_group("columns"))
    _add_metric_options(parser.add_argument_group("what is computed"))
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write everything here too, labels and components as well; - for stdout, and nothing "
        "else there (default: not written)",
    )
    parser.add_argument(
        "--per-label",
        metavar="FILE",
        help="write a CSV with each label's mAP, its p-value and Benjamini-Hochberg's q "
        "(corrected_p_value), for each correction and cell type (default: not written)",
    )
    parser.set_defaults(execute=execute)


def _add_column_options(columns: argparse._ArgumentGroup) -> None:
    optional = {
        "--cell-type": "metrics are computed within each of its values too (default: none)",
        "--plate": "plate, for the variance table (default: none)",
        "--well": "well position on the plate, for the variance table; rows of one experiment, "
        "plate and well are one well to the probe (default: none)",
    }
    for option, text in optional.items():
        columns.add_argument(option, metavar="COLUMN", help=text)
    columns.add_argument(
        "--control",
        metavar="VALUE",
        nargs="+",
        default=[],
        help="values that mark control rows; corrections fitted on controls need them "
        "(default: none)",
    )
    columns.add_argument(
        "--control-column", metavar="COLUMN", help="where they stand (default: that of --label)"
    )
    columns.add_argument(
        "--features",
        metavar="PREFIX",
        nargs="+",
        default=[],
        help="what names of feature columns begin with, regular expressions (default: see below)",
    )
    columns.add_argument(
        "--missing",
        choices=("error", "drop-columns", "drop-rows"),
        default="error",
        help="what becomes of missing values (default: error)",
    )


def _add_metric_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--correct",
        metavar="NAME",
        nargs="+",
        choices=(*CORRECTIONS, "none"),
        help=f"corrections to compare: {', '.join(CORRECTIONS)} (GPL: install harmonypy yourself) "
        "or none (default: centring, and with --control tvn, sphering and sphering_oas)",
    )
    group.add_argument(
        "--metrics",
        metavar="NAME",
        nargs="+",
        choices=METRICS,
        default=list(METRICS),
        help=f"some of: {', '.join(METRICS)} (default: all)",
    )
    group.add_argument(
        "--without-controls",
        action="store_true",
        help="leave control rows out of the metrics, not of the corrections (default: they are "
        "rows like the others, their label one of the labels)",
    )
    group.add_argument(
        "--standardize",
        action="store_true",
        help="bring each feature to mean 0 and standard deviation 1 over all rows before anything "
        "else; constant features are left out (default: features as they come)",
    )
    numbers = {
        "--kbet-neighbors": (50, "neighbours that kBET counts"),
        "--lisi-neighbors": (90, "neighbours of iLISI and cLISI; perplexity is a third of it"),
        "--graph-neighbors": (15, "neighbours in the graph of graph connectivity"),
        "--permutations": (10_000, "draws of null distributions"),
        "--seed": (0, "of all draws"),
    }
    for option, (default, text) in numbers.items():
        group.add_argument(
            option, type=int, metavar="N", default=default, help=f"{text} (default: {default})"
        )


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    corrections = _corrections(args)
    if args.per_label and not {"map", "map_significant"} & set(args.metrics):
        raise ConfigError("--per-label holds each label's mAP: --metrics must have map")

    def work(terminal: Terminal) -> int:
        from pipelines.profiles.outputs import (
            everything,
            require_writable,
            write_json,
            write_per_label,
        )
        from pipelines.profiles.run import measure
        from pipelines.profiles.text import describe, metrics_text

        json_file = None if args.json == "-" else args.json
        outputs = {"--json": json_file, "--per-label": args.per_label}
        require_writable(outputs.items(), args.profiles)
        profiles, compared = measure(args, corrections, terminal)
        if args.json == "-":
            print(json.dumps(everything(profiles, compared), indent=1), file=terminal.out)
        else:
            print("\n".join(describe(profiles) + metrics_text(compared)), file=terminal.out)
        if json_file:
            write_json(json_file, profiles, compared)
        if args.per_label:
            write_per_label(args.per_label, compared)
        written = [name for name in outputs.values() if name]
        if written and args.json != "-":
            print(f"\nwritten: {', '.join(written)}", file=terminal.out)
        return 0

    return guarded(work, temporary_log_file("metrics"), args.debug, keep_log=False)


def _corrections(args: argparse.Namespace) -> tuple[str, ...]:
    if args.correct is None:
        return ("centring", *ON_CONTROLS) if args.control else ("centring",)
    wanted = tuple(dict.fromkeys(args.correct))
    if "none" in wanted:
        if len(wanted) > 1:
            raise ConfigError("--correct none stands alone")
        return ()
    for name in wanted:
        if name in ON_CONTROLS and not args.control:
            raise ConfigError(f"--correct {name} is fitted on controls: say which, --control VALUE")
    return wanted
