//! Handwritten digits: a table of pictures and their classes, learnt by a softmax or a small network.
//!
//! ```sh
//! examples/digits/fetch                                                   # 60,000 and 10,000 digits, into target/digits
//! cargo run --release -p thalweg-tensor --example digits                  # softmax, one epoch
//! cargo run --release -p thalweg-tensor --example digits -- --hidden 128 --epochs 5
//! ```
//!
//! Without the data it makes digits of its own, and says so. The same seed gives the same numbers in every run.

use std::path::Path;
use std::time::Instant;
use thalweg_tensor::{Batches, Dtype, Free, Graph, Id, Start, Step, TensorError};
use thalweg_training::Optimizer;

const PIXELS: usize = 784;
const CLASSES: usize = 10;

/// Pictures and what they show, row by row.
struct Table {
    pixels: Vec<u8>,
    classes: Vec<u8>,
}

impl Table {
    fn rows(&self) -> usize {
        self.classes.len()
    }

    /// The files of MNIST: a head of 16 or 8 bytes, then bytes.
    fn read(images: &Path, labels: &Path) -> std::io::Result<Table> {
        let (pixels, classes) = (std::fs::read(images)?, std::fs::read(labels)?);
        let table = Table { pixels: pixels[16.min(pixels.len())..].to_vec(), classes: classes[8.min(classes.len())..].to_vec() };
        if table.pixels.len() != table.rows() * PIXELS || table.classes.iter().any(|&class| class as usize >= CLASSES) {
            let what = format!("{} and {} are no pictures of 28 by 28 with their digits", images.display(), labels.display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        }
        Ok(table)
    }

    /// Digits on a display of seven segments, moved and smudged.
    fn generated(rows: usize, seed: u64) -> Table {
        const SEGMENTS: [u8; 10] = [
            0b111_0111, 0b010_0100, 0b101_1101, 0b110_1101, 0b010_1110, 0b110_1011, 0b111_1011, 0b010_0101, 0b111_1111,
            0b110_1111,
        ];
        let noise: Vec<f32> = Start::Uniform { bound: 1.0 }.values(&[rows, PIXELS + 3], seed);
        let mut table = Table { pixels: Vec::with_capacity(rows * PIXELS), classes: Vec::with_capacity(rows) };
        for noise in noise.chunks_exact(PIXELS + 3) {
            let whole = |x: f32, n: usize| (((x + 1.0) / 2.0 * n as f32) as usize).min(n - 1);
            let class = whole(noise[0], CLASSES);
            let (left, top) = (6 + whole(noise[1], 5), 3 + whole(noise[2], 5));
            table.classes.push(class as u8);
            for (i, noise) in noise[3..].iter().enumerate() {
                let (x, y) = ((i % 28).wrapping_sub(left), (i / 28).wrapping_sub(top));
                let lit = segment(x, y).is_some_and(|segment| SEGMENTS[class] >> segment & 1 == 1);
                let smudged = *noise > if lit { -0.4 } else { 0.95 };
                table.pixels.push(if smudged { 255 - (noise.abs() * 100.0) as u8 } else { 0 });
            }
        }
        table
    }

    /// Pixels as numbers from 0 to 1, and classes, of these rows.
    fn take(&self, rows: impl ExactSizeIterator<Item = usize>, pixels: &mut [f32], classes: &mut [u32]) {
        for ((row, to), class) in rows.zip(pixels.chunks_exact_mut(PIXELS)).zip(classes) {
            let from = &self.pixels[row * PIXELS..][..PIXELS];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = f32::from(*from) * (1.0 / 255.0));
            *class = u32::from(self.classes[row]);
        }
    }
}

/// The segment of a display 12 wide and 20 high that a place belongs to: top, left and right above, middle, left and right below, bottom.
fn segment(x: usize, y: usize) -> Option<usize> {
    match (x, y) {
        (2..10, 0..2) => Some(0),
        (0..2, 1..10) => Some(1),
        (10..12, 1..10) => Some(2),
        (2..10, 9..11) => Some(3),
        (0..2, 10..19) => Some(4),
        (10..12, 10..19) => Some(5),
        (2..10, 18..20) => Some(6),
        _ => None,
    }
}

/// The model over a batch: pixels, classes, what is learnt, the scores, the loss.
struct Model {
    g: Graph,
    pixels: Id,
    classes: Id,
    free: Vec<Id>,
    scores: Id,
    loss: Id,
}

fn model(batch: usize, hidden: Option<usize>) -> Result<Model, TensorError> {
    let mut g = Graph::new();
    let pixels = g.input("pixels", Dtype::F32, [batch, PIXELS]);
    let classes = g.input("classes", Dtype::Index { below: CLASSES }, [batch]);
    let (mut layer, mut free) = (pixels, Vec::new());
    let widths: Vec<usize> = std::iter::once(PIXELS).chain(hidden).chain([CLASSES]).collect();
    for (i, pair) in widths.windows(2).enumerate() {
        let (w, b) = (g.input("weights", Dtype::F32, pair), g.input("bias", Dtype::F32, &pair[1..]));
        free.extend([w, b]);
        let product = g.matmul(layer, w)?;
        layer = g.add(product, b)?;
        if i + 2 < widths.len() {
            layer = g.relu(layer)?;
        }
    }
    let loss = g.cross_entropy(layer, classes)?;
    Ok(Model { g, pixels, classes, free, scores: layer, loss })
}

/// The share of rows whose greatest score is that of their class.
fn accuracy(table: &Table, hidden: Option<usize>, learnt: &[Vec<f32>]) -> Result<f64, TensorError> {
    let batch = 100.min(table.rows());
    let model = model(batch, hidden)?;
    let mut forward = Step::<f32>::forward(&model.g, &[model.scores])?;
    for (&id, values) in model.free.iter().zip(learnt) {
        forward.set(id, values)?;
    }
    let (mut right, mut classes) = (0, vec![0; batch]);
    let batches = table.rows() / batch;
    for i in 0..batches {
        table.take(i * batch..(i + 1) * batch, forward.input_mut(model.pixels), &mut classes);
        forward.run();
        for (scores, &class) in forward.output(0).chunks_exact(CLASSES).zip(&classes) {
            let best = (0..CLASSES).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
            right += usize::from(best == class as usize);
        }
    }
    Ok(right as f64 / (batches * batch) as f64)
}

struct Options {
    hidden: Option<usize>,
    epochs: usize,
    batch: usize,
    seed: u64,
    data: String,
}

fn options() -> Result<Options, String> {
    let mut options = Options { hidden: None, epochs: 1, batch: 32, seed: 1, data: "target/digits".into() };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<usize>().map_err(|_| format!("{name} needs a number, not {value}"));
        match name.as_str() {
            "--hidden" => options.hidden = Some(number()?),
            "--epochs" => options.epochs = number()?,
            "--batch" => options.batch = number()?,
            "--seed" => options.seed = number()? as u64,
            "--data" => options.data = value,
            _ => return Err(format!("there is no option {name}: --hidden, --epochs, --batch, --seed, --data")),
        }
    }
    Ok(options)
}

fn tables(data: &Path) -> std::io::Result<(Table, Table)> {
    if !data.join("train-images-idx3-ubyte").exists() {
        println!(
            "no data in {}: these digits are generated, and easier than written ones (examples/digits/fetch gets those)",
            data.display()
        );
        return Ok((Table::generated(60_000, 1), Table::generated(10_000, 2)));
    }
    let read = |name: &str| {
        Table::read(&data.join(format!("{name}-images-idx3-ubyte")), &data.join(format!("{name}-labels-idx1-ubyte")))
    };
    Ok((read("train")?, read("t10k")?))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { hidden, epochs, batch, seed, data } = options()?;
    let (train, test) = tables(Path::new(&data))?;
    let model = model(batch, hidden)?;
    let free: Vec<Free> = model.free.iter().map(|&id| Free::anywhere(id)).collect();
    let mut step = Step::<f32>::compile(&model.g, model.loss, &[], &free, &Optimizer::named("adamw", 0.001)?)?;
    for (i, &id) in model.free.iter().enumerate() {
        let shape = &model.g.ty(id).shape;
        let start = if shape.len() == 2 { Start::Uniform { bound: 1.0 / (shape[0] as f64).sqrt() } } else { Start::Zeros };
        step.set(id, &start.values(shape, seed.wrapping_mul(1000) + i as u64))?;
    }
    println!(
        "{} rows, {} parameters, seed {seed}, {} bytes planned",
        train.rows(),
        free.iter().map(|f| model.g.ty(f.input).len()).sum::<usize>(),
        step.bytes()
    );

    let mut batches = Batches::new(train.rows(), batch, seed);
    let mut classes = vec![0; batch];
    for epoch in 1..=epochs {
        let (start, mut loss) = (Instant::now(), 0.0);
        for _ in 0..batches.per_epoch() {
            let rows = batches.next_rows();
            train.take(rows.iter().map(|&row| row as usize), step.input_mut(model.pixels), &mut classes);
            step.set_numbers(model.classes, &classes)?;
            loss += f64::from(step.run());
        }
        let seconds = start.elapsed().as_secs_f64();
        let steps = batches.per_epoch() as f64;
        let learnt: Vec<Vec<f32>> = model.free.iter().map(|&id| step.parameter(id)).collect();
        let right = accuracy(&test, hidden, &learnt)?;
        println!("epoch {epoch}: loss {:.4}, accuracy {right:.4}, {seconds:.3} s, {:.0} steps/s", loss / steps, steps / seconds);
    }
    Ok(())
}
