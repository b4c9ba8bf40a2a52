//! Brownian motion as a pure function of a seed and an interval.

use maxlik_tensor::{Error, Result, Seeds, with_seed};
use std::cell::RefCell;
use std::fmt::Debug;
use tch::{Device, Kind, Tensor};

/// The increment of a Brownian motion over an interval of length `h`.
#[derive(Debug)]
pub struct Increment {
    /// `W(t) − W(s)`, with variance `h`.
    pub w: Tensor,
    /// The space–time Lévy area `H = (1/h) ∫ (W(u) − W(s)) du − ½ (W(t) − W(s))`, with variance
    /// `h/12`, independent of `w`.
    pub area: Tensor,
}

impl Increment {
    /// `I₁₀ = ∫ (W(u) − W(s)) du = h (H + ½ W)` for an interval of signed length `h`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn i10(&self, h: f64) -> Result<Tensor> {
        Ok(self.area.f_add(&self.w.f_mul_scalar(0.5)?)?.f_mul_scalar(h)?)
    }
}

/// A source of Brownian increments.
pub trait Brownian: Debug {
    /// The increment from `s` to `t`, also for `t < s`.
    ///
    /// # Errors
    /// [`Error::Config`] outside of the interval that the source covers.
    fn increment(&self, s: f64, t: f64) -> Result<Increment>;
}

/// The virtual Brownian tree: the motion is halved again and again, each midpoint being drawn from a
/// seed of its own, so that any increment can be had at any time, in any order, without storing the
/// path (Li, Wong, Chen and Duvenaud 2020, "Scalable gradients for stochastic differential
/// equations", arXiv:2001.01328, sec. 4; with the area of Foster, Lyons and Oberhauser 2020, "An
/// optimal polynomial approximation of Brownian motion", theorem 3.7 and its midpoint rule).
///
/// Times are rounded to a grid of `2^depth` intervals, in which the increments are exact in law.
#[derive(Debug)]
pub struct BrownianTree {
    seeds: Seeds,
    shape: Vec<i64>,
    kind: Kind,
    device: Device,
    interval: (f64, f64),
    depth: u32,
    /// The nodes on the way to the last time that was asked for.
    path: RefCell<Vec<Node>>,
}

/// The motion over one interval of the tree.
#[derive(Debug)]
struct Node {
    level: u32,
    /// Which of the `2^level` intervals.
    index: u64,
    w: Tensor,
    area: Tensor,
    /// `W` and `∫ W` from the start of the tree to the start of this interval.
    before: Tensor,
    integral: Tensor,
}

impl Node {
    fn shallow(&self) -> Self {
        let clone = Tensor::shallow_clone;
        Self {
            level: self.level,
            index: self.index,
            w: clone(&self.w),
            area: clone(&self.area),
            before: clone(&self.before),
            integral: clone(&self.integral),
        }
    }
}

impl BrownianTree {
    /// Independent motions of that shape over `interval`, drawn on the CPU and brought to `device`.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty interval.
    pub fn new(
        seed: u64,
        shape: &[i64],
        (kind, device): (Kind, Device),
        interval: (f64, f64),
    ) -> Result<Self> {
        let (begin, end) = interval;
        if !(begin.is_finite() && end.is_finite() && begin < end) {
            let why = format!("expected begin < end, got {begin} and {end}");
            return Err(Error::config("interval", why));
        }
        Ok(Self {
            seeds: Seeds::new(seed).stream("brownian"),
            shape: shape.to_vec(),
            kind,
            device,
            interval,
            depth: 30,
            path: RefCell::new(Vec::new()),
        })
    }

    /// With a grid of `2^depth` intervals, 30 by default.
    #[must_use]
    pub fn depth(self, depth: u32) -> Self {
        Self { depth: depth.clamp(1, 50), ..self }
    }

    /// Two independent standard normal tensors of a node.
    fn normals(&self, level: u32, index: u64) -> Result<(Tensor, Tensor)> {
        let seed = self.seeds.at((1_u64 << level) + index);
        let mut shape = vec![2];
        shape.extend(&self.shape);
        // In double precision, so that other dtypes see the same motion.
        let both = with_seed(seed, || Tensor::f_randn(shape, (Kind::Double, Device::Cpu)))?;
        let both = both.f_to_kind(self.kind)?.f_to_device(self.device)?;
        Ok((both.f_select(0, 0)?, both.f_select(0, 1)?))
    }

    fn root(&self) -> Result<Node> {
        let h = self.interval.1 - self.interval.0;
        // A stream of its own beside those of the midpoints.
        let (a, b) = self.normals(60, 0)?;
        Ok(Node {
            level: 0,
            index: 0,
            w: a.f_mul_scalar(h.sqrt())?,
            area: b.f_mul_scalar((h / 12.0).sqrt())?,
            before: a.f_zeros_like()?,
            integral: a.f_zeros_like()?,
        })
    }

    /// One half of a node's interval. With `z ~ N(0, h/16)` and `n ~ N(0, h/12)` the halves have
    /// `W/2 ± (3/2 H + z)` and `H/4 − z/2 ± n/2`.
    fn half(&self, node: &Node, right: bool) -> Result<Node> {
        let h = (self.interval.1 - self.interval.0) * 0.5_f64.powi(node.level as i32);
        let (z, n) = self.normals(node.level, node.index)?;
        let z = z.f_mul_scalar((h / 16.0).sqrt())?;
        let n = n.f_mul_scalar(0.5 * (h / 12.0).sqrt())?;
        let swing = node.area.f_mul_scalar(1.5)?.f_add(&z)?;
        let middle = node.area.f_mul_scalar(0.25)?.f_sub(&z.f_mul_scalar(0.5)?)?;
        let first = node.w.f_mul_scalar(0.5)?.f_add(&swing)?;
        let first_area = middle.f_add(&n)?;
        let (level, index) = (node.level + 1, 2 * node.index + u64::from(right));
        if !right {
            let (before, integral) = (node.before.shallow_clone(), node.integral.shallow_clone());
            return Ok(Node { level, index, w: first, area: first_area, before, integral });
        }
        // ∫ W over the first half: its length times (W before + H + W/2).
        let mean = first_area.f_add(&first.f_mul_scalar(0.5)?)?.f_add(&node.before)?;
        Ok(Node {
            level,
            index,
            w: node.w.f_mul_scalar(0.5)?.f_sub(&swing)?,
            area: middle.f_sub(&n)?,
            before: node.before.f_add(&first)?,
            integral: node.integral.f_add(&mean.f_mul_scalar(0.5 * h)?)?,
        })
    }

    /// `W` and `∫ W` from the start to the grid point of `t`.
    fn at(&self, t: f64) -> Result<(f64, Tensor, Tensor)> {
        let (begin, end) = self.interval;
        let slack = 1e-9 * (end - begin);
        if t < begin - slack || t > end + slack {
            let why = format!("expected a time in [{begin}, {end}], got {t}");
            return Err(Error::config("t", why));
        }
        let leaves = 1_u64 << self.depth;
        let place = ((t - begin) / (end - begin)).clamp(0.0, 1.0) * leaves as f64;
        let leaf = (place.round() as u64).min(leaves);
        let rounded = begin + (end - begin) * (leaf as f64 / leaves as f64);
        let mut path = self.path.borrow_mut();
        // Keep the nodes whose interval holds the point, strictly inside or at its start.
        let holds = |node: &Node| {
            let shift = self.depth - node.level;
            leaf >> shift == node.index && node.level <= self.depth
        };
        let keep = path.iter().take_while(|node| holds(node)).count();
        path.truncate(keep);
        if path.is_empty() {
            path.push(self.root()?);
        }
        if leaf == leaves {
            let root = &path[0];
            let h = end - begin;
            let mean = root.area.f_add(&root.w.f_mul_scalar(0.5)?)?;
            return Ok((rounded, root.w.shallow_clone(), mean.f_mul_scalar(h)?));
        }
        let mut node = path[path.len() - 1].shallow();
        loop {
            // At the start of an interval all that is needed is known.
            let start = node.index << (self.depth - node.level);
            if start == leaf || node.level == self.depth {
                return Ok((rounded, node.before, node.integral));
            }
            let bit = (leaf >> (self.depth - node.level - 1)) & 1;
            node = self.half(&node, bit == 1)?;
            path.push(node.shallow());
        }
    }
}

impl Clone for BrownianTree {
    fn clone(&self) -> Self {
        Self { shape: self.shape.clone(), path: RefCell::default(), ..*self }
    }
}

impl Brownian for BrownianTree {
    fn increment(&self, s: f64, t: f64) -> Result<Increment> {
        let _no_grad = tch::no_grad_guard();
        let (s, ws, integral_s) = self.at(s)?;
        let (t, wt, integral_t) = self.at(t)?;
        let h = t - s;
        let w = wt.f_sub(&ws)?;
        if h == 0.0 {
            return Ok(Increment { area: w.f_zeros_like()?, w });
        }
        let mean = integral_t.f_sub(&integral_s)?.f_mul_scalar(1.0 / h)?.f_sub(&ws)?;
        Ok(Increment { area: mean.f_sub(&w.f_mul_scalar(0.5)?)?, w })
    }
}
