"""Which of our models are which of NEST 3.10, with the names of parameters and state variables there.

The pairs are compared in tests/cross: equal to rounding for the linear models and Izhikevich's; within the error that
NEST allows its adaptive solver for the others, and AdEx resets within a step there, at its end here.
"""

from __future__ import annotations

from typing import NamedTuple

PARAMETERS = {
    "tau_m": "tau_m", "c_m": "C_m", "g_l": "g_L", "e_l": "E_L", "v_th": "V_th", "v_reset": "V_reset", "t_ref": "t_ref",
    "i_e": "I_e", "tau_syn_ex": "tau_syn_ex", "tau_syn_in": "tau_syn_in", "e_ex": "E_ex", "e_in": "E_in",
    "delta_t": "Delta_T", "v_peak": "V_peak", "a": "a", "b": "b", "tau_w": "tau_w", "c": "c", "d": "d",
    "g_na": "g_Na", "g_k": "g_K", "e_na": "E_Na", "e_k": "E_K", "v_t": "V_T",
    "consistent_integration": "consistent_integration",
}  # fmt: skip


class NestModel(NamedTuple):
    """NEST's name of a model; its names of states that are recorded, and of those that can be set at the start."""

    name: str
    recorded: dict[str, str]
    settable: dict[str, str]


_V = {"v": "V_m"}
_I = {"i_ex": "I_syn_ex", "i_in": "I_syn_in"}
_G = {"g_ex": "g_ex", "g_in": "g_in"}
_GATES = {"m": "Act_m", "h": "Inact_h", "n": "Act_n"}
MODELS = {
    "LIFDelta": NestModel("iaf_psc_delta", _V, _V),
    "LIFExp": NestModel("iaf_psc_exp", _V | _I, _V),
    "LIFAlpha": NestModel("iaf_psc_alpha", _V | _I, _V),
    "LIFCondExp": NestModel("iaf_cond_exp", _V | _G, _V | _G),
    "LIFCondAlpha": NestModel("iaf_cond_alpha", _V | _G, _V | _G),
    "AdExCondExp": NestModel("aeif_cond_exp", _V | _G | {"w": "w"}, _V | _G | {"w": "w"}),
    "AdExPscExp": NestModel("aeif_psc_exp", _V | _I | {"w": "w"}, _V | _I | {"w": "w"}),
    "HodgkinHuxley": NestModel("hh_cond_exp_traub", _V | _G | _GATES, _V | _GATES),
    "Izhikevich": NestModel("izhikevich", _V | {"u_m": "U_m"}, _V | {"u_m": "U_m"}),
}
