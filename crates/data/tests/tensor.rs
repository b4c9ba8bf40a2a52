use maxlik_data::tensor::array_to_tensor;
use maxlik_data::{Dataset, Loader, LoaderConfig, digits};
use ndarray::{Array2, array};
use tch::{Device, Kind, Tensor};

#[test]
fn batches_become_tensors() {
    let data = digits::dataset::<f32>().unwrap();
    let data = data.with_one_hot_context(10).unwrap();
    let weights = vec![2.0; data.len()];
    let data = data.with_weights(weights).unwrap();
    let config = LoaderConfig { batch: 7, ..LoaderConfig::default() };
    let batch = Loader::new(data, config).unwrap().epoch(0).next().unwrap().unwrap();
    let tensors = batch.to_tensors(Device::Cpu).unwrap();
    assert_eq!(tensors.data.size(), [7, 1, 8, 8]);
    assert_eq!(tensors.data.kind(), Kind::Float);
    let flat: Vec<f32> = Vec::try_from(tensors.data.reshape([-1])).unwrap();
    assert_eq!(flat, batch.data.iter().copied().collect::<Vec<_>>());
    assert_eq!(tensors.context.unwrap().size(), [7, 10]);
    assert_eq!(tensors.weights.unwrap().size(), [7]);
    let labels: Vec<i64> = Vec::try_from(tensors.labels.unwrap()).unwrap();
    assert_eq!(Some(labels), batch.labels);
}

#[test]
fn columns_in_fortran_order_are_rows_too() {
    let rows = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let turned = rows.t();
    let tensor = array_to_tensor(turned, &[2], Device::Cpu).unwrap();
    assert_eq!(tensor, Tensor::from_slice(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]).reshape([3, 2]));
    assert!(array_to_tensor(rows.view(), &[2], Device::Cpu).is_err());
    let empty = array_to_tensor(Array2::<f32>::zeros((0, 3)).view(), &[3], Device::Cpu).unwrap();
    assert_eq!(empty.size(), [0, 3]);
}

#[test]
fn data_without_extras_give_none() {
    let data = Dataset::new("d", array![[1.0, 2.0]]).unwrap();
    let loader = Loader::new(data, LoaderConfig::default()).unwrap();
    let batch = loader.epoch(0).next().unwrap().unwrap();
    let tensors = batch.to_tensors(Device::Cpu).unwrap();
    assert_eq!(tensors.data.kind(), Kind::Double);
    assert!(tensors.context.is_none() && tensors.weights.is_none() && tensors.labels.is_none());
}
