//! Values and gradients of PyTorch, in doubles, to 1e-10. `fixtures/grads_torch.json`: torch 2.15.0 on a CPU; the loss of an elementwise
//! operation is its sum weighted by `w`. What the file calls `moving_avg3` does not say what its loss is; windows have central differences.

use crate::support::close;
use serde_json::Value;
use thalweg_tensor::{Data, Dtype, Graph, Id, Tensor, TensorError, Type};

struct File(Value);

impl File {
    fn numbers(&self, name: &str) -> Vec<f64> {
        list(&self.0[name])
    }
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A program with the file's tensors as inputs.
struct Torch {
    g: Graph,
    x: Id,
    y: Id,
    w: Id,
    m: Id,
    v: Id,
    given: Vec<(Id, Tensor)>,
}

impl Torch {
    fn new(file: &File) -> Torch {
        let mut g = Graph::new();
        let mut given = Vec::new();
        let [x, y, w, m, v] =
            [("x", [3, 4]), ("y", [3, 4]), ("w", [3, 4]), ("m2_4x2", [4, 2]), ("w2_3x2", [3, 2])].map(|(name, shape)| {
                let id = g.input(name, Dtype::F64, shape);
                given.push((id, Tensor::of(shape, file.numbers(name))));
                id
            });
        Torch { g, x, y, w, m, v, given }
    }

    fn index(&mut self, below: usize, numbers: &[u32]) -> Id {
        let ty = Type::new(Dtype::Index { below }, [numbers.len()]);
        let id = self.g.input("rows", ty.dtype, ty.shape.clone());
        self.given.push((id, Tensor::new(ty, Data::Index(numbers.to_vec())).unwrap()));
        id
    }

    fn count(&mut self, shape: &[usize]) -> Id {
        let id = self.g.input("count", Dtype::F64, shape);
        let n: usize = shape.iter().product();
        self.given.push((id, Tensor::of(shape, (0..n).map(|i| i as f64).collect::<Vec<_>>())));
        id
    }

    fn eye(&mut self, n: usize) -> Id {
        let numbers = self.index(n, &(0..n as u32).collect::<Vec<_>>());
        self.g.one_hot(numbers, Dtype::F64).unwrap()
    }

    /// What the file means by `name`.
    fn loss(&mut self, name: &str) -> Result<Id, TensorError> {
        let (x, y, w) = (self.x, self.y, self.w);
        if let Some(scalar) = self.scalar(name)? {
            return Ok(scalar);
        }
        let g = &mut self.g;
        let above = g.add_number(x, 2.0)?;
        let each = match name {
            "add" => g.add(x, y),
            "sub" => g.sub(x, y),
            "mul" => g.mul(x, y),
            "div" => g.add_number(y, 2.0).and_then(|y| g.div(x, y)),
            "pow_const3" => g.pow_number(x, 3.0),
            "pow" => g.pow(above, y),
            "neg" => g.neg(x),
            "exp" => g.exp(x),
            "log" => g.log(above),
            "log1p" => g.abs(x).and_then(|x| g.log1p(x)),
            "expm1" => g.expm1(x),
            "sqrt" => g.sqrt(above),
            "rsqrt" => g.rsqrt(above),
            "sin" => g.sin(x),
            "cos" => g.cos(x),
            "tanh" => g.tanh(x),
            "sigmoid" => g.sigmoid(x),
            "softplus" => g.softplus(x),
            "relu" => g.relu(x),
            "leaky_relu" => g.leaky_relu(x, 0.01),
            "gelu_erf" => g.gelu(x),
            "gelu_tanh" => g.gelu_tanh(x),
            "silu" => g.silu(x),
            "erf" => g.erf(x),
            "abs" => g.abs(x),
            "maximum" => g.maximum(x, y),
            "minimum" => g.minimum(x, y),
            "clamp(-0.3,0.4)" => g.clamp(x, -0.3, 0.4),
            "where(a>0)" => {
                let zero = g.constant(Dtype::F64, [], 0.0);
                let (mask, product) = (g.greater(x, zero)?, g.mul(x, y)?);
                g.choose(mask, product, y)
            }
            "broadcast_row" => g.slice(y, 0, 0, 1).and_then(|row| g.add(x, row)),
            "broadcast_col" => g.slice(y, 1, 0, 1).and_then(|column| g.mul(x, column)),
            "softmax1" => g.softmax(x, 1),
            "log_softmax1" => g.log_softmax(x, 1),
            "cumsum1" => g.cumsum(x, 1),
            "layer_norm" => g.layer_norm(x, 1, 1e-5),
            other => panic!("{other} is not known"),
        }?;
        self.g.dot(each, w)
    }

    fn scalar(&mut self, name: &str) -> Result<Option<Id>, TensorError> {
        let (x, y, m, v) = (self.x, self.y, self.m, self.v);
        let squares = |g: &mut Graph, x| g.mul(x, x).and_then(|square| g.sum(square));
        let first = self.g.slice(y, 1, 0, 1).and_then(|column| self.g.reshape(column, &[3]))?;
        let g = &mut self.g;
        Ok(Some(match name {
            "sum" => g.sum(x)?,
            "mean" => g.mean(x)?,
            "sum0_sq" => g.sum_over(x, &[0]).and_then(|sum| squares(g, sum))?,
            "max_all" => g.max(x)?,
            "amax_rows" => g.max_over(x, 1).and_then(|most| g.dot(most, first))?,
            "var_unbiased" => g.reshape(x, &[12]).and_then(|x| g.var_over(x, 0, 1))?,
            "std_rows" => g.std_over(x, 1, 1).and_then(|std| g.sum(std))?,
            "prod_rows" => g.prod_over(x, 1).and_then(|products| g.sum(products))?,
            "logsumexp_rows" => g.logsumexp(x, 1).and_then(|log| g.dot(log, first))?,
            "matmul" => g.matmul(x, m).and_then(|product| g.dot(product, v))?,
            "dot" => g.dot(x, y)?,
            "gather_rows" => {
                let (rows, count) = (self.index(3, &[2, 0, 2, 1, 0]), self.count(&[5, 4]));
                self.g.gather(x, rows).and_then(|taken| self.g.dot(taken, count))?
            }
            "segment_sum_sq" => {
                let segments = self.index(2, &[0, 1, 0]);
                self.g.scatter_add(x, segments, 2).and_then(|sums| squares(&mut self.g, sums))?
            }
            "cross_entropy" => {
                let classes = self.index(4, &[1, 3, 0]);
                self.g.cross_entropy(x, classes)?
            }
            "mse" => g.mse(x, y)?,
            "l1" => g.l1(x, y)?,
            "huber0.3" => g.huber(x, y, 0.3)?,
            "bce_logits" => g.sigmoid(y).and_then(|truth| g.bce_with_logits(x, truth))?,
            "norm2" => g.norm(x)?,
            "concat_slice" => g.concat(&[x, y], 0).and_then(|both| g.slice(both, 0, 1, 4)).and_then(|rows| squares(g, rows))?,
            "corrcoef" => {
                let count = self.count(&[4, 4]);
                self.g.corrcoef(x).and_then(|all| self.g.dot(all, count))?
            }
            "pinv_solve" => {
                let eye = self.eye(4);
                let g = &mut self.g;
                let flipped = g.transpose(x, &[1, 0])?;
                let square = g.matmul(flipped, x).and_then(|square| g.add(square, eye))?;
                let right = g.slice(y, 0, 0, 1).and_then(|row| g.transpose(row, &[1, 0]))?;
                g.solve(square, right).and_then(|solution| g.sum(solution))?
            }
            "logdet" => {
                let eye = self.eye(3);
                let g = &mut self.g;
                let flipped = g.transpose(x, &[1, 0])?;
                g.matmul(x, flipped).and_then(|square| g.add(square, eye)).and_then(|square| g.logdet(square))?
            }
            "max_tie" => {
                let same = g.stop_gradient(x);
                g.maximum(x, same).and_then(|most| g.sum(most))?
            }
            _ => return Ok(None),
        }))
    }
}

#[test]
fn values_and_gradients_are_those_of_torch() {
    let file = File(serde_json::from_str(include_str!("fixtures/grads_torch.json")).unwrap());
    let ops = file.0["ops"].as_object().unwrap();
    let mut compared = 0;
    for (name, expected) in ops.iter().filter(|(name, _)| *name != "moving_avg3") {
        let mut torch = Torch::new(&file);
        let loss = torch.loss(name).unwrap();
        let second = if name == "matmul" { torch.m } else { torch.y };
        let gradients = torch.g.gradient(loss, &[torch.x, second]).unwrap();
        let value = torch.g.evaluate(&[loss], &torch.given).unwrap();
        close(&value[0].to_f64(), &[expected["loss"].as_f64().unwrap()], 1e-10, name);
        for (gradient, key) in gradients.into_iter().zip(["ga", "gb"]) {
            if expected[key].is_null() {
                continue;
            }
            let own = torch.g.evaluate(&[gradient.expect("a gradient")], &torch.given).unwrap();
            close(&own[0].to_f64(), &list(&expected[key]), 1e-10, &format!("{name}, {key}"));
            compared += 1;
        }
    }
    assert_eq!((ops.len(), compared), (60, 78));
}
