//! The foreign functions of `cpp/autograd.cpp`, and the callbacks that it calls.
#![allow(unsafe_code, reason = "LibTorch's raw edge; every block says why it is sound")]

use super::FusedOp;
use crate::{Error, Result, guard};
use std::ffi::{CStr, CString, c_char, c_void};
use tch::{Device, Tensor};

type Raw = *mut torch_sys::C_tensor;
type ConstRaw = *const torch_sys::C_tensor;

#[repr(C)]
struct List {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Callbacks {
    op: *mut c_void,
    forward:
        extern "C" fn(*mut c_void, *const ConstRaw, usize, *mut List, *mut List) -> *mut c_char,
    backward: extern "C" fn(
        *mut c_void,
        *const ConstRaw,
        usize,
        usize,
        *const ConstRaw,
        usize,
        *mut List,
    ) -> *mut c_char,
    compose: extern "C" fn(*mut c_void, *const ConstRaw, usize, *mut List) -> *mut c_char,
    drop: extern "C" fn(*mut c_void),
    release: extern "C" fn(*mut c_char),
}

unsafe extern "C" {
    fn maxlik_free(message: *mut c_char);
    fn maxlik_grad_enabled() -> i32;
    fn maxlik_autocast(cuda: i32, on: i32) -> i32;
    fn maxlik_autocast_enabled(cuda: i32) -> i32;
    fn maxlik_push(list: *mut List, tensor: ConstRaw);
    fn maxlik_apply(
        callbacks: Callbacks,
        inputs: *const ConstRaw,
        n: usize,
        outputs: *mut Raw,
        capacity: usize,
        count: *mut usize,
    ) -> *mut c_char;
    fn maxlik_grad(
        outputs: *const ConstRaw,
        cotangents: *const ConstRaw,
        n: usize,
        inputs: *const ConstRaw,
        m: usize,
        keep_graph: i32,
        create_graph: i32,
        grads: *mut Raw,
    ) -> *mut c_char;
    fn maxlik_adamw(
        params: *const ConstRaw,
        grads: *const ConstRaw,
        means: *const ConstRaw,
        squares: *const ConstRaw,
        steps: *const ConstRaw,
        n: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
    ) -> *mut c_char;
    fn maxlik_parallel(
        n: i64,
        grain: i64,
        context: *mut c_void,
        body: extern "C" fn(*mut c_void, i64, i64),
    );
}

/// Most outputs that a fused op may have.
const MAX_OUTPUTS: usize = 8;

fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null message is a NUL-terminated string that strdup made for us.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: it was made by strdup and is freed once.
    unsafe { maxlik_free(message) };
    Err(Error::Torch(tch::TchError::Torch(text)))
}

fn pointers<T: std::borrow::Borrow<Tensor>>(tensors: &[T]) -> Vec<ConstRaw> {
    tensors.iter().map(|t| t.borrow().as_ptr()).collect()
}

/// Whether operations are recorded on this thread.
pub(crate) fn grad_enabled() -> bool {
    // SAFETY: reads a thread-local flag.
    unsafe { maxlik_grad_enabled() != 0 }
}

/// Switches autocast of this thread on or off, and says whether it was on.
pub(crate) fn set_autocast(device: Device, on: bool) -> bool {
    // SAFETY: sets a thread-local flag.
    unsafe { maxlik_autocast(i32::from(device.is_cuda()), i32::from(on)) != 0 }
}

/// Whether autocast on the CPU is on in this thread.
pub(crate) fn autocast_enabled() -> bool {
    // SAFETY: reads a thread-local flag.
    unsafe { maxlik_autocast_enabled(0) != 0 }
}

/// Vector–Jacobian product `Σ cotangentᵢ · ∂outputᵢ/∂input` for each input.
pub(crate) fn grad(
    outputs: &[&Tensor],
    cotangents: &[Option<&Tensor>],
    inputs: &[&Tensor],
    keep_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    let roots = pointers(outputs);
    let seeds: Vec<ConstRaw> =
        cotangents.iter().map(|c| c.map_or(std::ptr::null(), |t| t.as_ptr())).collect();
    let leaves = pointers(inputs);
    let mut grads: Vec<Raw> = vec![std::ptr::null_mut(); inputs.len()];
    // SAFETY: all pointers are live tensors borrowed for the call; `grads` has room for one per input.
    let message = unsafe {
        maxlik_grad(
            roots.as_ptr(),
            seeds.as_ptr(),
            roots.len(),
            leaves.as_ptr(),
            leaves.len(),
            i32::from(keep_graph),
            i32::from(create_graph),
            grads.as_mut_ptr(),
        )
    };
    check(message)?;
    // SAFETY: each non-null pointer is a tensor newly allocated for us.
    Ok(grads.into_iter().map(|g| (!g.is_null()).then(|| unsafe { Tensor::from_ptr(g) })).collect())
}

/// The moments and step counts that AdamW keeps for each parameter, in the parameters' order.
pub(crate) struct Moments<'a> {
    pub(crate) means: &'a [Tensor],
    pub(crate) squares: &'a [Tensor],
    pub(crate) steps: &'a [Tensor],
}

/// The numbers of one AdamW step.
pub(crate) struct Rates {
    pub(crate) lr: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
}

pub(crate) fn adamw(
    params: &[Tensor],
    grads: &[Tensor],
    moments: &Moments<'_>,
    rates: &Rates,
) -> Result<()> {
    let (p, g) = (pointers(params), pointers(grads));
    let (m, v, s) = (pointers(moments.means), pointers(moments.squares), pointers(moments.steps));
    // SAFETY: five arrays of `p.len()` live tensors; the public function checked their lengths.
    let message = unsafe {
        maxlik_adamw(
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            s.as_ptr(),
            p.len(),
            rates.lr,
            rates.beta1,
            rates.beta2,
            rates.weight_decay,
            rates.eps,
        )
    };
    check(message)
}

/// Runs `body(begin, end)` over parts of `0..n` on LibTorch's threads.
pub(crate) fn parallel<F: Fn(usize, usize) + Sync>(n: usize, grain: usize, body: &F) {
    extern "C" fn trampoline<F: Fn(usize, usize) + Sync>(
        context: *mut c_void,
        begin: i64,
        end: i64,
    ) {
        // SAFETY: `context` is the `&F` given below, alive until maxlik_parallel returns, and F is Sync.
        let body = unsafe { &*context.cast_const().cast::<F>() };
        let (begin, end) = (usize::try_from(begin).unwrap_or(0), usize::try_from(end).unwrap_or(0));
        // A panic must not unwind into C++; the kernels index with bounds that they computed, so it
        // would be a defect of ours and ends the process with its message.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(begin, end))).is_err() {
            std::process::abort();
        }
    }
    let context = std::ptr::from_ref(body).cast_mut().cast::<c_void>();
    let (n, grain) =
        (i64::try_from(n).unwrap_or(i64::MAX), i64::try_from(grain.max(1)).unwrap_or(1));
    // SAFETY: the trampoline matches `F`, and the call returns after the last part is done.
    unsafe { maxlik_parallel(n, grain, context, trampoline::<F>) };
}

/// Records `op` in the graph.
pub(crate) fn apply<O: FusedOp>(op: O, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let callbacks = Callbacks {
        op: Box::into_raw(Box::new(op)).cast(),
        forward: forward::<O>,
        backward: backward::<O>,
        compose: compose::<O>,
        drop: drop_op::<O>,
        release,
    };
    let raw = pointers(inputs);
    let mut outputs: [Raw; MAX_OUTPUTS] = [std::ptr::null_mut(); MAX_OUTPUTS];
    let mut count = 0;
    // SAFETY: inputs are live; `outputs` has MAX_OUTPUTS places; the op is owned by the callee, which
    // frees it through `drop`, also when it fails.
    let message = unsafe {
        maxlik_apply(
            callbacks,
            raw.as_ptr(),
            raw.len(),
            outputs.as_mut_ptr(),
            MAX_OUTPUTS,
            &mut count,
        )
    };
    check(message)?;
    // SAFETY: the first `count` pointers are tensors newly allocated for us.
    Ok(outputs[..count].iter().map(|&t| unsafe { Tensor::from_ptr(t) }).collect())
}

/// Shallow clones of borrowed C++ tensors.
///
/// # Safety
/// `tensors` points to `n` live tensors.
unsafe fn borrow(tensors: *const ConstRaw, n: usize) -> Vec<Tensor> {
    // SAFETY: by the caller's promise.
    let slice = unsafe { std::slice::from_raw_parts(tensors, n) };
    // SAFETY: each is live; a shallow clone counts a reference of its own.
    slice.iter().map(|&t| unsafe { Tensor::clone_from_ptr(t.cast_mut()) }).collect()
}

fn push(list: *mut List, tensor: Option<&Tensor>) {
    // SAFETY: `list` is the vector that C++ passed to the running callback; it copies the handle.
    unsafe { maxlik_push(list, tensor.map_or(std::ptr::null(), |t| t.as_ptr())) };
}

/// Runs a callback's body so that neither an error nor a panic crosses into C++ unwound.
fn outcome(body: impl FnOnce() -> Result<()>) -> *mut c_char {
    match guard("fused op", body) {
        Ok(()) => std::ptr::null_mut(),
        Err(error) => CString::new(error.to_string()).unwrap_or_default().into_raw(),
    }
}

extern "C" fn forward<O: FusedOp>(
    op: *mut c_void,
    inputs: *const ConstRaw,
    n: usize,
    outputs: *mut List,
    saved: *mut List,
) -> *mut c_char {
    outcome(|| {
        // SAFETY: `op` is the box of `apply`, alive while its holder is; inputs by the C++ side.
        let (op, inputs) = unsafe { (&*op.cast::<O>(), borrow(inputs, n)) };
        let done = op.forward(&inputs)?;
        done.outputs.iter().for_each(|t| push(outputs, Some(t)));
        done.saved.iter().for_each(|t| push(saved, Some(t)));
        Ok(())
    })
}

extern "C" fn backward<O: FusedOp>(
    op: *mut c_void,
    tensors: *const ConstRaw,
    n_inputs: usize,
    n_saved: usize,
    grads: *const ConstRaw,
    n_grads: usize,
    input_grads: *mut List,
) -> *mut c_char {
    outcome(|| {
        // SAFETY: as in `forward`; `tensors` holds the inputs and then what forward saved.
        let (op, all, grads) = unsafe {
            (&*op.cast::<O>(), borrow(tensors, n_inputs + n_saved), borrow(grads, n_grads))
        };
        let (inputs, saved) = all.split_at(n_inputs);
        for grad in op.backward(inputs, saved, &grads)? {
            push(input_grads, grad.as_ref());
        }
        Ok(())
    })
}

extern "C" fn compose<O: FusedOp>(
    op: *mut c_void,
    inputs: *const ConstRaw,
    n: usize,
    outputs: *mut List,
) -> *mut c_char {
    outcome(|| {
        // SAFETY: as in `forward`.
        let (op, inputs) = unsafe { (&*op.cast::<O>(), borrow(inputs, n)) };
        op.compose(&inputs)?.iter().for_each(|t| push(outputs, Some(t)));
        Ok(())
    })
}

extern "C" fn drop_op<O>(op: *mut c_void) {
    // SAFETY: the holder is destroyed once, and with it the box that `apply` gave away.
    drop(unsafe { Box::from_raw(op.cast::<O>()) });
}

extern "C" fn release(message: *mut c_char) {
    // SAFETY: `message` came from CString::into_raw in `outcome`.
    drop(unsafe { CString::from_raw(message) });
}
