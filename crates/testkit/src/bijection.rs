//! The checker of bijections.

use crate::scores::check_scores;
use crate::{Support, distance, finite, normal};
use maxlik_model::Bijection;
use maxlik_nn::{Params, Scope};
use maxlik_tensor::autograd::{Graph, grad, jacobian, leaf};
use maxlik_tensor::{Result, logdet};
use tch::{Device, Kind, Tensor};

/// A layer under test: how to build it, and what may be expected of it.
pub struct Subject<'a> {
    /// Name in messages.
    pub name: &'a str,
    /// Builds the layer.
    pub build: &'a dyn Fn(&Scope<'_>) -> Result<Box<dyn Bijection>>,
    /// Where its data live.
    pub support: Support,
    /// How far parameters are moved from their initial values (standard deviation).
    pub jitter: f64,
    /// Largest error of a round trip in double precision; the log-determinant may be off ten times
    /// as much.
    pub tolerance: f64,
    /// Largest error of a round trip in single precision.
    pub tolerance_f32: f64,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).field("support", &self.support).finish()
    }
}

impl<'a> Subject<'a> {
    /// A layer on the real numbers with the usual tolerances: 10⁻⁹, and 10⁻⁴ in single precision.
    #[must_use]
    pub fn new(name: &'a str, build: &'a dyn Fn(&Scope<'_>) -> Result<Box<dyn Bijection>>) -> Self {
        let support = Support::Real(1.0);
        Self { name, build, support, jitter: 0.3, tolerance: 1e-9, tolerance_f32: 1e-4 }
    }

    /// The same for data on another support.
    #[must_use]
    pub fn on(self, support: Support) -> Self {
        Self { support, ..self }
    }

    /// The same with other tolerances for the round trip in double and in single precision.
    #[must_use]
    pub fn within(self, tolerance: f64, tolerance_f32: f64) -> Self {
        Self { tolerance, tolerance_f32, ..self }
    }

    /// The same with parameters moved by another standard deviation.
    #[must_use]
    pub fn jittered(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }
}

/// A built layer with its store.
struct Built {
    layer: Box<dyn Bijection>,
    params: Params,
}

/// Passes where the layer keeps all that a [`Bijection`] promises, and panics naming what it breaks.
#[track_caller]
pub fn check_bijection(subject: &Subject<'_>) {
    let built = build(subject, Kind::Double);
    shapes_and_rows(subject, &built);
    round_trips(subject, &built);
    log_determinants(subject, &built);
    scores(subject, &built);
    gradients(subject, &built);
    contexts(subject, &built);
    wrong_inputs(subject, &built);
    saved_parameters(subject, &built);
    single_precision(subject);
}

fn build(subject: &Subject<'_>, kind: Kind) -> Built {
    let params = Params::new(11, kind, Device::Cpu);
    let layer = (subject.build)(&params.root())
        .unwrap_or_else(|error| panic!("{}: cannot be built: {error}", subject.name));
    // A data-dependent start comes first, as in training, and is then moved like all others.
    let x = inputs(subject, layer.as_ref(), 1, 64).to_kind(kind);
    let context = context_for(layer.as_ref(), 64, 2).map(|c| c.to_kind(kind));
    let _ = layer.initialize(&x, context.as_ref()).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (i, (_, tensor)) in params.trainable().into_iter().enumerate() {
        let noise = normal(1000 + i as u64, &tensor.size()) * subject.jitter;
        let mut tensor = tensor;
        let _ = tensor.f_add_(&noise.to_kind(kind)).unwrap();
    }
    Built { layer, params }
}

fn inputs(subject: &Subject<'_>, layer: &dyn Bijection, seed: u64, batch: i64) -> Tensor {
    subject.support.draw(seed, batch, layer.domain())
}

fn context_for(layer: &dyn Bijection, batch: i64, seed: u64) -> Option<Tensor> {
    layer.context_shape().map(|event| {
        let mut shape = vec![batch];
        shape.extend_from_slice(event);
        normal(seed, &shape)
    })
}

fn with_batch(batch: i64, event: &[i64]) -> Vec<i64> {
    let mut shape = vec![batch];
    shape.extend_from_slice(event);
    shape
}

/// Shapes for batches of zero, one and several; each row is mapped as if it were alone.
fn shapes_and_rows(subject: &Subject<'_>, Built { layer, .. }: &Built) {
    let name = subject.name;
    for batch in [0, 1, 5] {
        let x = inputs(subject, layer.as_ref(), 3, batch);
        let context = context_for(layer.as_ref(), batch, 4);
        let there =
            layer.forward(&x, context.as_ref()).unwrap_or_else(|e| panic!("{name}: forward: {e}"));
        assert_eq!(
            there.value.size(),
            with_batch(batch, layer.codomain()),
            "{name}: shape of the value"
        );
        assert_eq!(there.log_det.size(), [batch], "{name}: shape of the log-determinant");
        let back = layer
            .inverse(&there.value, context.as_ref())
            .unwrap_or_else(|e| panic!("{name}: inverse: {e}"));
        assert_eq!(
            back.value.size(),
            with_batch(batch, layer.domain()),
            "{name}: shape of the inverse"
        );
        assert_eq!(back.log_det.size(), [batch], "{name}: shape of the inverse's log-determinant");
        for row in 0..batch {
            let one = |t: &Tensor| t.narrow(0, row, 1);
            let alone = layer.forward(&one(&x), context.as_ref().map(one).as_ref()).unwrap();
            let off = distance(&alone.value, &one(&there.value))
                .max(distance(&alone.log_det, &one(&there.log_det)));
            assert!(
                off < subject.tolerance,
                "{name}: row {row} of {batch} differs from the row alone by {off:e}"
            );
        }
    }
}

fn round_trips(subject: &Subject<'_>, Built { layer, .. }: &Built) {
    let name = subject.name;
    let context = context_for(layer.as_ref(), 16, 6);
    let x = inputs(subject, layer.as_ref(), 5, 16);
    let there = layer.forward(&x, context.as_ref()).unwrap();
    let back = layer.inverse(&there.value, context.as_ref()).unwrap();
    let off = distance(&back.value, &x);
    assert!(off < subject.tolerance, "{name}: inverse(forward(x)) is off x by {off:e}");
    let off = distance(&back.log_det, &-&there.log_det);
    assert!(
        off < 10.0 * subject.tolerance,
        "{name}: log-determinants of both directions differ by {off:e}"
    );
    // Points of the latent side that come from elsewhere than one forward pass of these very x.
    let again =
        layer.forward(&inputs(subject, layer.as_ref(), 55, 16), context.as_ref()).unwrap().value;
    let data = layer.inverse(&again, context.as_ref()).unwrap().value;
    let off = distance(&layer.forward(&data, context.as_ref()).unwrap().value, &again);
    assert!(off < 10.0 * subject.tolerance, "{name}: forward(inverse(z)) is off z by {off:e}");
}

fn log_determinants(subject: &Subject<'_>, Built { layer, .. }: &Built) {
    let name = subject.name;
    let context = context_for(layer.as_ref(), 4, 8);
    let x = inputs(subject, layer.as_ref(), 7, 4);
    let there = layer.forward(&x, context.as_ref()).unwrap();
    let exact =
        jacobian(&|x| Ok(layer.forward(x, context.as_ref())?.value), &x, Graph::Free).unwrap();
    let exact = logdet::dense(&exact).unwrap();
    let off = distance(&there.log_det, &exact);
    assert!(off < 10.0 * subject.tolerance, "{name}: log-determinant is off autograd's by {off:e}");
    let z = there.value.detach();
    let exact =
        jacobian(&|z| Ok(layer.inverse(z, context.as_ref())?.value), &z, Graph::Free).unwrap();
    let back = layer.inverse(&z, context.as_ref()).unwrap();
    let off = distance(&back.log_det, &logdet::dense(&exact).unwrap());
    assert!(
        off < 100.0 * subject.tolerance,
        "{name}: the inverse's log-determinant is off autograd's by {off:e}"
    );
}

/// Both directions, where the layer has a rule of its own.
fn scores(subject: &Subject<'_>, Built { layer, .. }: &Built) {
    let context = context_for(layer.as_ref(), 4, 9);
    let x = inputs(subject, layer.as_ref(), 10, 4);
    let tolerance = 10.0 * subject.tolerance;
    check_scores(subject.name, layer.as_ref(), &x, context.as_ref(), tolerance);
}

/// Every parameter and the input get finite gradients, also far out and at equal coordinates.
fn gradients(subject: &Subject<'_>, Built { layer, params }: &Built) {
    let name = subject.name;
    let near = inputs(subject, layer.as_ref(), 9, 16);
    let far = subject.support.draw_far(10, 16, layer.domain());
    let named = params.trainable();
    let context = context_for(layer.as_ref(), 16, 11);
    for (place, x) in [("near", &near), ("far", &far)] {
        let x = leaf(x).unwrap();
        let there = layer.forward(&x, context.as_ref()).unwrap();
        assert!(
            finite(&there.value) && finite(&there.log_det),
            "{name}: {place} values are not finite"
        );
        let mut leaves: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
        leaves.push(&x);
        let cotangent = normal(12, &there.value.size());
        let mut outputs = vec![&there.value];
        let mut cotangents = vec![Some(&cotangent)];
        if there.log_det.requires_grad() {
            outputs.push(&there.log_det);
            cotangents.push(None);
        }
        let found = grad(&outputs, &cotangents, &leaves, Graph::Free).unwrap();
        for (i, gradient) in found.into_iter().enumerate() {
            let what = named.get(i).map_or("x", |(name, _)| name.as_str());
            let Some(gradient) = gradient else {
                panic!("{name}: {what} does not influence the output")
            };
            assert!(finite(&gradient), "{name}: {place} gradient of {what} is not finite");
            let size = gradient.abs().max().double_value(&[]);
            assert!(place == "far" || size > 0.0, "{name}: {what} has no gradient");
        }
    }
}

fn contexts(subject: &Subject<'_>, Built { layer, .. }: &Built) {
    let name = subject.name;
    let x = inputs(subject, layer.as_ref(), 13, 3);
    match context_for(layer.as_ref(), 3, 14) {
        Some(context) => {
            let other = &context + 1.0;
            let there = |c: &Tensor| layer.forward(&x, Some(c)).unwrap().value;
            assert!(
                distance(&there(&context), &there(&other)) > 1e-6,
                "{name}: the context does not matter"
            );
            assert!(layer.forward(&x, None).is_err(), "{name}: a missing context is not refused");
            assert!(
                layer.forward(&x, Some(&context.narrow(0, 0, 2))).is_err(),
                "{name}: a short context is not refused"
            );
        }
        None => {
            let context = normal(15, &[3, 2]);
            assert!(
                layer.forward(&x, Some(&context)).is_err(),
                "{name}: an unused context is not refused"
            );
        }
    }
}

fn wrong_inputs(subject: &Subject<'_>, Built { layer, .. }: &Built) {
    let name = subject.name;
    let context = context_for(layer.as_ref(), 3, 17);
    let mut longer = layer.domain().to_vec();
    match longer.last_mut() {
        Some(last) => *last += 1,
        None => longer.push(2),
    }
    let x = subject.support.draw(16, 3, &longer);
    for (direction, outcome) in [
        ("forward", layer.forward(&x, context.as_ref())),
        ("inverse", layer.inverse(&x, context.as_ref())),
    ] {
        // A codomain of that very shape is the one exception.
        if direction == "inverse" && layer.codomain() == longer.as_slice() {
            continue;
        }
        let message = outcome
            .err()
            .map_or_else(|| panic!("{name}: {direction} takes a wrong shape"), |e| e.to_string());
        assert!(
            message.contains("expected shape"),
            "{name}: {direction} of a wrong shape says {message:?}"
        );
    }
    let integers = inputs(subject, layer.as_ref(), 18, 3).to_kind(Kind::Int64);
    assert!(
        layer.forward(&integers, context.as_ref()).is_err(),
        "{name}: integers are not refused"
    );
}

/// A second instance with another seed becomes the first one by loading its parameters and buffers.
fn saved_parameters(subject: &Subject<'_>, Built { layer, params }: &Built) {
    let name = subject.name;
    let other = Params::new(99, Kind::Double, Device::Cpu);
    let twin = (subject.build)(&other.root()).unwrap();
    other
        .load(&params.named())
        .unwrap_or_else(|e| panic!("{name}: parameters cannot be loaded: {e}"));
    let x = inputs(subject, layer.as_ref(), 19, 4);
    let context = context_for(layer.as_ref(), 4, 20);
    let (a, b) =
        (layer.forward(&x, context.as_ref()).unwrap(), twin.forward(&x, context.as_ref()).unwrap());
    let off = distance(&a.value, &b.value).max(distance(&a.log_det, &b.log_det));
    assert!(off < 1e-12, "{name}: a loaded layer differs by {off:e}");
}

fn single_precision(subject: &Subject<'_>) {
    let name = subject.name;
    let Built { layer, .. } = build(subject, Kind::Float);
    let x = inputs(subject, layer.as_ref(), 21, 32).to_kind(Kind::Float);
    let context = context_for(layer.as_ref(), 32, 22).map(|c| c.to_kind(Kind::Float));
    let there = layer.forward(&x, context.as_ref()).unwrap();
    assert_eq!(there.value.kind(), Kind::Float, "{name}: single precision does not stay");
    assert_eq!(there.log_det.kind(), Kind::Float, "{name}: single precision does not stay");
    let back = layer.inverse(&there.value, context.as_ref()).unwrap();
    let off = distance(&back.value, &x);
    assert!(
        off < subject.tolerance_f32,
        "{name}: round trip in single precision is off by {off:e}"
    );
}
