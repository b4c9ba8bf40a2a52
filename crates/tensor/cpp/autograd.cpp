// The part of autograd that tch does not wrap: gradients with given cotangents, custom functions
// whose forward and backward are Rust callbacks, LibTorch's own thread pool, and its fused AdamW.
// Every entry point returns null, or a message that the caller frees with maxlik_free.

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <ATen/Parallel.h>

#include <cstring>
#include <string>
#include <vector>

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;
using List = std::vector<at::Tensor>;

namespace {

// Callbacks return null, or a message that `release` frees.
struct Callbacks {
  void* op;
  char* (*forward)(void* op, const at::Tensor* const* inputs, size_t n, List* outputs, List* saved);
  char* (*backward)(void* op, const at::Tensor* const* tensors, size_t n_inputs, size_t n_saved,
                    const at::Tensor* const* grads, size_t n_grads, List* input_grads);
  char* (*compose)(void* op, const at::Tensor* const* inputs, size_t n, List* outputs);
  void (*drop)(void* op);
  void (*release)(char* message);
};

struct Holder : torch::CustomClassHolder {
  explicit Holder(Callbacks c) : callbacks(c) {}
  ~Holder() override { callbacks.drop(callbacks.op); }
  Callbacks callbacks;
};

void raise(const Callbacks& c, char* message) {
  if (message == nullptr) return;
  std::string text(message);
  c.release(message);
  throw std::runtime_error(text);
}

std::vector<const at::Tensor*> pointers(at::TensorList tensors) {
  std::vector<const at::Tensor*> out;
  out.reserve(tensors.size());
  for (const auto& t : tensors) out.push_back(&t);
  return out;
}

struct RustFunction : torch::autograd::Function<RustFunction> {
  static variable_list forward(AutogradContext* ctx, at::TensorList inputs,
                               c10::intrusive_ptr<Holder> holder) {
    const auto& c = holder->callbacks;
    List outputs, saved;
    auto in = pointers(inputs);
    raise(c, c.forward(c.op, in.data(), in.size(), &outputs, &saved));
    ctx->saved_data["n_inputs"] = static_cast<int64_t>(inputs.size());
    ctx->saved_data["op"] =
        c10::IValue::make_capsule(c10::static_intrusive_pointer_cast<torch::CustomClassHolder>(holder));
    variable_list keep(inputs.begin(), inputs.end());
    keep.insert(keep.end(), saved.begin(), saved.end());
    ctx->save_for_backward(keep);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto holder = c10::static_intrusive_pointer_cast<Holder>(ctx->saved_data["op"].toCapsule());
    const auto& c = holder->callbacks;
    const auto n = static_cast<size_t>(ctx->saved_data["n_inputs"].toInt());
    auto tensors = ctx->get_saved_variables();
    List result;
    if (torch::GradMode::is_enabled()) {
      // A second derivative may be asked for: differentiate the plain composition instead.
      // Of aliases, since one input may depend on another: only the way through this op counts here.
      variable_list inputs;
      for (size_t i = 0; i < n; ++i)
        inputs.push_back(tensors[i].requires_grad() ? tensors[i].view_as(tensors[i]) : tensors[i]);
      List outputs;
      auto in = pointers(inputs);
      raise(c, c.compose(c.op, in.data(), n, &outputs));
      variable_list roots, cotangents, leaves;
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (!outputs[i].requires_grad()) continue;
        roots.push_back(outputs[i]);
        cotangents.push_back(grads[i]);
      }
      for (const auto& x : inputs)
        if (x.requires_grad()) leaves.push_back(x);
      auto found = torch::autograd::grad(roots, leaves, cotangents, true, true, true);
      size_t next = 0;
      for (const auto& x : inputs) result.push_back(x.requires_grad() ? found[next++] : at::Tensor());
    } else {
      auto all = pointers(tensors);
      auto g = pointers(grads);
      raise(c, c.backward(c.op, all.data(), n, tensors.size() - n, g.data(), g.size(), &result));
    }
    result.emplace_back();  // the holder has no gradient
    return result;
  }
};

template <typename F>
char* guarded(F&& body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("an exception that is no std::exception");
  }
}

}  // namespace

extern "C" {

void maxlik_free(char* message) { free(message); }

int maxlik_grad_enabled() { return torch::GradMode::is_enabled() ? 1 : 0; }

// Appends a tensor (null: an undefined one), taking ownership of nothing.
void maxlik_push(List* list, const at::Tensor* tensor) {
  list->push_back(tensor == nullptr ? at::Tensor() : *tensor);
}

char* maxlik_apply(Callbacks callbacks, const at::Tensor* const* inputs, size_t n,
                   at::Tensor** outputs, size_t capacity, size_t* count) {
  return guarded([&] {
    auto holder = c10::make_intrusive<Holder>(callbacks);
    variable_list in;
    in.reserve(n);
    for (size_t i = 0; i < n; ++i) in.push_back(*inputs[i]);
    // A TensorList, because Function does not look for variables inside a std::vector.
    auto out = RustFunction::apply(at::TensorList(in), holder);
    if (out.size() > capacity) throw std::runtime_error("a fused op returned too many outputs");
    *count = out.size();
    for (size_t i = 0; i < out.size(); ++i) outputs[i] = new at::Tensor(out[i]);
  });
}

// grads[i] is null where inputs[i] does not influence the outputs.
char* maxlik_grad(const at::Tensor* const* outputs, const at::Tensor* const* cotangents, size_t n,
                  const at::Tensor* const* inputs, size_t m, int keep_graph, int create_graph,
                  at::Tensor** grads) {
  return guarded([&] {
    variable_list roots, seeds, leaves;
    for (size_t i = 0; i < n; ++i) {
      roots.push_back(*outputs[i]);
      seeds.push_back(cotangents[i] == nullptr ? at::ones_like(*outputs[i]) : *cotangents[i]);
    }
    for (size_t i = 0; i < m; ++i) leaves.push_back(*inputs[i]);
    auto found = torch::autograd::grad(roots, leaves, seeds, keep_graph != 0, create_graph != 0, true);
    for (size_t i = 0; i < m; ++i) grads[i] = found[i].defined() ? new at::Tensor(found[i]) : nullptr;
  });
}

// One AdamW step (decoupled weight decay) over all parameters in one fused kernel.
char* maxlik_adamw(const at::Tensor* const* params, const at::Tensor* const* grads,
                   const at::Tensor* const* means, const at::Tensor* const* squares,
                   const at::Tensor* const* steps, size_t n, double lr, double beta1, double beta2,
                   double weight_decay, double eps) {
  return guarded([&] {
    torch::NoGradGuard no_grad;
    List p, g, m, v, s;
    for (size_t i = 0; i < n; ++i) {
      p.push_back(*params[i]);
      g.push_back(*grads[i]);
      m.push_back(*means[i]);
      v.push_back(*squares[i]);
      s.push_back(*steps[i]);
    }
    at::_foreach_add_(s, 1);
    at::_fused_adamw_(p, g, m, v, {}, s, lr, beta1, beta2, weight_decay, eps, false, false);
  });
}

// Switches bfloat16 autocast of this thread on or off, and returns whether it was on. What was cast is
// forgotten when it ends: weights will have changed by the next time.
int maxlik_autocast(int cuda, int on) {
  const auto device = cuda != 0 ? at::kCUDA : at::kCPU;
  const bool before = at::autocast::is_autocast_enabled(device);
  if (before != (on != 0)) {
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, on != 0);
    if (on == 0) at::autocast::clear_cache();
  }
  return before ? 1 : 0;
}

// Whether autocast of the device is on in this thread.
int maxlik_autocast_enabled(int cuda) {
  return at::autocast::is_autocast_enabled(cuda != 0 ? at::kCUDA : at::kCPU) ? 1 : 0;
}

// Runs body(context, begin, end) over 0..n on LibTorch's own threads.
void maxlik_parallel(int64_t n, int64_t grain, void* context,
                     void (*body)(void* context, int64_t begin, int64_t end)) {
  at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) { body(context, begin, end); });
}

}  // extern "C"
