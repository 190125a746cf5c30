"""``snn models``: the list of models and rules, and the page of the documentation that is made of it."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import typer

from kernels.errors import ConfigError, nearest
from kernels.spec import NeuronSpec, RuleSpec, ShortTermSpec
from snn.cli_common import WRONG, columns, exit_on_error

Spec = NeuronSpec | RuleSpec | ShortTermSpec


def models(
    name: str | None = typer.Argument(None, help="One model, with its equations; default all."),
    markdown: bool = typer.Option(False, "--markdown", help="Write the page docs/models.md."),
) -> None:
    """List the neuron models and plasticity rules with their parameters, units and defaults."""
    with exit_on_error(WRONG):
        from plasticity.base import RULES, SHORT_TERM
        from snn.neurons.base import MODELS

        all_: dict[str, Any] = {k: m for kind in (MODELS, RULES, SHORT_TERM) for k, m in sorted(kind.items())}
        if name is not None and name not in all_:
            raise ConfigError(f"models: no model {name!r}.{nearest(name, all_)}")
        specs = [all_[n].spec for n in all_ if name in (None, n)]
        if markdown:
            print(models_markdown(specs))
        elif name is not None:
            print(f"{name}\n\n{all_[name].__doc__}")
        else:
            print("\n\n".join(f"{s.name}  {_summary(s)}\n{_parameters(s)}" for s in specs))


def _summary(spec: Spec) -> str:
    """The first sentence of the model's text."""
    text = " ".join(inspect.cleandoc(spec.doc).split("\n\n")[0].split())
    return re.split(r"\. (?=[A-Z])", text)[0].rstrip(".").replace("``", "") + "."


def _parameters(spec: Spec) -> str:
    rows = [[f"  {p.name}", f"{p.default:.12g}", p.unit, p.bounds(), p.doc] for p in spec.params]
    return columns([["  parameter", "default", "unit", "bounds", ""], *rows])


def models_markdown(specs: Sequence[Spec]) -> str:
    """The page of models, from their specs."""
    lines = ["# Models", "", "Written by `snn models --markdown > docs/models.md`; do not edit."]
    for title, kind in (
        ("neuron model", NeuronSpec),
        ("plasticity rule", RuleSpec),
        ("short-term plasticity", ShortTermSpec),
    ):
        rows = [f"| [`{s.name}`](#{s.name.lower()}) | {_cell(_summary(s))} |" for s in specs if isinstance(s, kind)]
        lines += ["", f"| {title} | what it is |", "|---|---|", *rows] if rows else []
    for spec in specs:
        lines += ["", f"## {spec.name}", "", *_sections(inspect.cleandoc(spec.doc))]
        lines += ["", "| parameter | default | unit | bounds | |", "|---|---:|---|---|---|"]
        lines += [
            f"| `{p.name}` | {p.default:.12g} | {p.unit} | {_cell(p.bounds())} | {_cell(p.doc)} |" for p in spec.params
        ]
        lines += _neuron_tables(spec) if isinstance(spec, NeuronSpec) else []
        lines += ["", "References: " + "; ".join(_linked(r) for r in spec.references) + "."]
    return "\n".join(lines)


def _neuron_tables(spec: NeuronSpec) -> list[str]:
    signs = {1: ">= 0", -1: "<= 0", 0: "any"}
    lines = ["", "| receptor | unit of weights | sign | |", "|---|---|---|---|"]
    lines += [f"| `{r.name}` | {r.unit} | {signs[r.sign]} | {_cell(r.doc)} |" for r in spec.receptors]
    lines += ["", "| state | unit | at the start | |", "|---|---|---|---|"]
    lines += [f"| `{s.name}` | {s.unit} | {_initial(s.init)} | {_cell(s.doc)} |" for s in spec.state]
    if "i_stim" not in spec.arguments:
        return [*lines, "", "Takes no injected current."]
    unit = "dimensionless" if spec.current_unit == "1" else f"in {spec.current_unit}"
    return [*lines, "", f"Injected current: {unit}."]


def _initial(value: float | str) -> str:
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _linked(reference: str) -> str:
    return re.sub(r"doi:(\S+)", r"[doi:\1](https://doi.org/\1)", reference)


def _sections(doc: str) -> list[str]:
    """numpydoc text as Markdown: equations and tables as code, other sections as paragraphs."""
    out: list[str] = []
    blocks = re.split(r"\n(?=[^\n]+\n-{3,}\n)", doc)
    for block in blocks:
        lines = block.strip().split("\n")
        title = lines[0] if len(lines) > 1 and set(lines[1]) == {"-"} else ""
        body = "\n".join(lines[2:] if title else lines).strip()
        if title:
            out += ["", f"**{title}**", ""]
        for k, paragraph in enumerate(re.split(r"\n\s*\n", body)):
            if k:
                out.append("")
            code = title == "Equations" or paragraph.lstrip().startswith("===")
            out += ["```text", paragraph, "```"] if code else [paragraph.replace("``", "`")]
    return out
