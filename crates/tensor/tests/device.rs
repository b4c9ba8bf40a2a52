use maxlik_tensor::{Error, Seeds, check, device, guard};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

#[test]
fn device_names() {
    assert_eq!(device::parse("cpu").unwrap(), Device::Cpu);
    assert_eq!(device::parse(" CPU ").unwrap(), Device::Cpu);
    for wrong in ["gpu", "cuda:", "cuda:x", "cuda-1", ""] {
        let message = device::parse(wrong).unwrap_err().to_string();
        assert!(message.contains("expected cpu, cuda or cuda:N"), "{message}");
    }
    if !tch::Cuda::is_available() {
        let message = device::parse("cuda:1").unwrap_err().to_string();
        assert!(message.contains("cuda:1") && message.contains("no CUDA device"), "{message}");
    }
}

#[test]
fn streams_are_independent_and_reproducible() {
    let seeds = Seeds::new(7);
    assert_eq!(seeds.stream("noise").at(3), Seeds::new(7).stream("noise").at(3));
    let mut all: Vec<u64> = ["init", "noise", "probes", "order"]
        .iter()
        .flat_map(|name| (0..50).map(move |step| seeds.stream(name).at(step)))
        .chain((0..50).map(|root| Seeds::new(root).at(0)))
        .collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    let draw = |step| {
        maxlik_tensor::with_seed(seeds.at(step), || {
            Vec::<f64>::try_from(Tensor::randn([4], DOUBLE_CPU)).unwrap()
        })
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn checks_name_the_argument() {
    let x = Tensor::zeros([3, 2], DOUBLE_CPU);
    assert_eq!(check::batch_of("x", &x, &[2]).unwrap(), 3);
    let message = check::batch_of("x", &x, &[4]).unwrap_err().to_string();
    assert_eq!(message, "x: expected shape [B, 4], got [3, 2]");
    let message = check::context(&x, None, Some(&[5])).unwrap_err().to_string();
    assert_eq!(message, "context: expected shape [B, 5], got none");
    let half = x.to_kind(Kind::Float);
    let message = check::alike("y", &half, &x).unwrap_err().to_string();
    assert_eq!(message, "y: expected dtype Double, got Float");
    let message = check::floating("labels", &x.to_kind(Kind::Int64)).unwrap_err().to_string();
    assert!(message.starts_with("labels: expected dtype a floating-point type"), "{message}");
    let broken = Tensor::from_slice(&[1.0, f64::NAN]);
    assert!(
        matches!(check::finite("loss", &broken), Err(Error::NonFinite { what }) if what == "loss")
    );
}

#[test]
fn panics_become_errors() {
    let outcome: Result<(), Error> = guard("training step", || {
        let _sum = Tensor::zeros([2], DOUBLE_CPU) + Tensor::zeros([3], DOUBLE_CPU);
        Ok(())
    });
    let message = outcome.unwrap_err().to_string();
    assert!(message.starts_with("training step failed"), "{message}");
    assert!(!message.contains('\n'), "{message}");
}
