//! The parameter store: every tensor of a model under its path, nothing renamed, nothing twice.

use maxlik_tensor::{Error, Result, Seeds, with_seed};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Kind, Tensor};

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All entries equal.
    Constant(f64),
    /// Uniform on `[−bound, bound]`.
    Uniform(f64),
    /// Normal with mean zero and this standard deviation.
    Normal(f64),
    /// The identity matrix.
    Identity,
    /// A random orthogonal matrix (of orthonormal rows or columns where it is not square).
    Orthogonal,
}

/// Whether a model is being trained: shared by its store and those of its layers that ask
/// (dropout), and switched in one place.
#[derive(Debug, Clone, Default)]
pub struct Mode(Arc<AtomicBool>);

impl Mode {
    /// Whether the model is being trained.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Entry {
    tensor: Tensor,
    trainable: bool,
}

/// All parameters and buffers of a model, by dotted path.
///
/// An initial value depends on the seed and the path alone, not on the order of construction.
#[derive(Debug)]
pub struct Params {
    entries: RefCell<BTreeMap<String, Entry>>,
    seeds: Seeds,
    kind: Kind,
    device: Device,
    mode: Mode,
}

impl Params {
    /// An empty store for parameters of this dtype on this device.
    #[must_use]
    pub fn new(seed: u64, kind: Kind, device: Device) -> Self {
        let seeds = Seeds::new(seed).stream("init");
        Self { entries: RefCell::default(), seeds, kind, device, mode: Mode::default() }
    }

    /// The scope under which a model creates its parameters.
    #[must_use]
    pub fn root(&self) -> Scope<'_> {
        Scope { store: self, path: String::new() }
    }

    /// The parameters that training changes, sorted by name.
    #[must_use]
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        self.filtered(|entry| entry.trainable)
    }

    /// All parameters and buffers, sorted by name: what a checkpoint holds.
    #[must_use]
    pub fn named(&self) -> Vec<(String, Tensor)> {
        self.filtered(|_| true)
    }

    /// Number of entries of all trainable parameters.
    #[must_use]
    pub fn count(&self) -> usize {
        self.trainable().iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// The switch between training and evaluation.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode.clone()
    }

    /// Switches between training and evaluation.
    pub fn set_training(&self, training: bool) {
        self.mode.0.store(training, Ordering::Relaxed);
    }

    /// Copies `values` into the tensors of the same names.
    ///
    /// Names and shapes are all checked before the first value is copied.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is missing or unknown, [`Error::Shape`] for another shape.
    pub fn load(&self, values: &[(String, Tensor)]) -> Result<()> {
        let entries = self.entries.borrow();
        let given: BTreeMap<&str, &Tensor> =
            values.iter().map(|(name, t)| (name.as_str(), t)).collect();
        if let Some(name) = entries.keys().find(|name| !given.contains_key(name.as_str())) {
            return Err(Error::config(
                name.clone(),
                "the model has this parameter, the file has not",
            ));
        }
        if let Some(name) = given.keys().find(|name| !entries.contains_key(**name)) {
            return Err(Error::config(*name, "the file has this parameter, the model has not"));
        }
        for (name, entry) in entries.iter() {
            maxlik_tensor::check::shape(name, given[name.as_str()], &entry.tensor.size())?;
        }
        let _no_grad = tch::no_grad_guard();
        for (name, entry) in entries.iter() {
            let mut target = entry.tensor.shallow_clone();
            target.f_copy_(given[name.as_str()])?;
        }
        Ok(())
    }

    fn filtered(&self, keep: impl Fn(&Entry) -> bool) -> Vec<(String, Tensor)> {
        let entries = self.entries.borrow();
        let kept = entries.iter().filter(|(_, entry)| keep(entry));
        kept.map(|(name, entry)| (name.clone(), entry.tensor.shallow_clone())).collect()
    }
}

/// A place in a [`Params`] store.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    store: &'a Params,
    path: String,
}

impl Scope<'_> {
    /// The scope of that name below this one.
    #[must_use]
    pub fn sub(&self, name: impl Display) -> Self {
        Self { store: self.store, path: self.join(&name) }
    }

    /// A trainable parameter.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] where the name is taken, [`Error::Config`] for a name with a dot or
    /// an initial value that the shape does not allow.
    pub fn param(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        let value = self.initial(name, shape, init)?;
        self.insert(name, value.f_set_requires_grad(true)?, true)
    }

    /// A trainable parameter that starts with this value.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn param_from(&self, name: &str, value: &Tensor) -> Result<Tensor> {
        let value = value.f_to_kind(self.kind())?.f_to_device(self.device())?.f_detach_copy()?;
        self.insert(name, value.f_set_requires_grad(true)?, true)
    }

    /// A tensor that training leaves alone and checkpoints keep.
    ///
    /// # Errors
    /// As [`Scope::param`].
    pub fn buffer(&self, name: &str, value: &Tensor) -> Result<Tensor> {
        let value = value.f_to_device(self.device())?.f_detach_copy()?;
        self.insert(name, value, false)
    }

    /// Dtype of the parameters.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.store.kind
    }

    /// Device of the parameters.
    #[must_use]
    pub fn device(&self) -> Device {
        self.store.device
    }

    /// The switch between training and evaluation.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.store.mode()
    }

    /// A seed of this scope and `name`, for structure drawn once, such as a permutation.
    #[must_use]
    pub fn seed(&self, name: &str) -> u64 {
        self.store.seeds.stream(&self.join(&name)).at(0)
    }

    fn initial(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        // Drawn in double precision on the CPU: the same start for every dtype and device.
        let options = (Kind::Double, Device::Cpu);
        let normal = || with_seed(self.seed(name), || Tensor::f_randn(shape, options));
        let value = match init {
            Init::Constant(value) => Tensor::f_full(shape, value, options)?,
            Init::Uniform(bound) => {
                with_seed(self.seed(name), || Tensor::f_rand(shape, options))? * (2.0 * bound)
                    - bound
            }
            Init::Normal(std) => normal()? * std,
            Init::Identity | Init::Orthogonal => {
                let &[rows, columns] = shape else {
                    let why = format!("a matrix is needed for {init:?}, the shape is {shape:?}");
                    return Err(Error::config(self.join(&name), why));
                };
                if init == Init::Identity {
                    Tensor::f_eye_m(rows, columns, options)?
                } else {
                    orthogonal(&normal()?, rows, columns)?
                }
            }
        };
        Ok(value.f_to_kind(self.kind())?.f_to_device(self.device())?)
    }

    fn insert(&self, name: &str, tensor: Tensor, trainable: bool) -> Result<Tensor> {
        let path = self.join(&name);
        if name.is_empty() || name.contains('.') {
            return Err(Error::config(
                path,
                "a parameter's own name must not be empty or hold a dot",
            ));
        }
        let mut entries = self.store.entries.borrow_mut();
        if entries.contains_key(&path) {
            return Err(Error::DuplicateName { name: path });
        }
        let clone = tensor.shallow_clone();
        entries.insert(path, Entry { tensor, trainable });
        Ok(clone)
    }

    fn join(&self, name: &impl Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}

/// The orthogonal factor of a Gaussian matrix, with signs that make it uniform (Mezzadri 2007,
/// "How to generate random matrices from the classical compact groups", arXiv:math-ph/0609050).
fn orthogonal(gaussian: &Tensor, rows: i64, columns: i64) -> Result<Tensor> {
    let tall = if rows < columns { gaussian.f_transpose(0, 1)? } else { gaussian.shallow_clone() };
    let (q, r) = Tensor::f_linalg_qr(&tall, "reduced")?;
    let q = q * r.f_diagonal(0, 0, 1)?.f_sign()?.f_unsqueeze(0)?;
    Ok(if rows < columns { q.f_transpose(0, 1)?.f_contiguous()? } else { q })
}
