"""Paths, velocities and plans of torchcfm 1.0.7 (POT 0.9.7) on fixed numbers, for tests/golden.rs.

Run: python cfm.py > cfm.json
"""

import json

import torch
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher,
    SchrodingerBridgeConditionalFlowMatcher,
    TargetConditionalFlowMatcher,
    VariancePreservingConditionalFlowMatcher,
)
from torchcfm.optimal_transport import OTPlanSampler

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(3)
SIGMA = 0.5
x0, x1, eps = (torch.randn(4, 2, generator=generator) for _ in range(3))
t = torch.tensor([0.1, 0.3, 0.5, 0.9])
matchers = {
    "straight": ConditionalFlowMatcher(SIGMA),
    "target": TargetConditionalFlowMatcher(SIGMA),
    "variance_preserving": VariancePreservingConditionalFlowMatcher(SIGMA),
    "bridge": SchrodingerBridgeConditionalFlowMatcher(SIGMA),
}
out = {
    "sigma": SIGMA,
    "t": t.tolist(),
    "x0": x0.tolist(),
    "x1": x1.tolist(),
    "eps": eps.tolist(),
    "paths": {},
}
for name, matcher in matchers.items():
    x = matcher.sample_xt(x0, x1, t, eps)
    out["paths"][name] = {
        "x": x.tolist(),
        "velocity": matcher.compute_conditional_flow(x0, x1, t, x).tolist(),
    }
a, b = (torch.randn(6, 2, generator=generator) for _ in range(2))
out["a"], out["b"] = a.tolist(), b.tolist()
out["exact"] = OTPlanSampler("exact").get_map(a, b).tolist()
out["sinkhorn"] = OTPlanSampler("sinkhorn", reg=0.5).get_map(a, b).tolist()
print(json.dumps(out))
