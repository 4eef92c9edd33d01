//! The kernels against their safe twin: the same bits on every width, for all sizes around a tile's.

use crate::support::Numbers;
use thalweg_tensor::kernels::{self, Adam, After, Left, Moving, Right, Size, Width, twin};

fn numbers(n: usize, numbers: &mut Numbers) -> Vec<f32> {
    (0..n).map(|_| numbers.between(-1.0, 1.0) as f32).collect()
}

fn sizes(seed: &mut Numbers) -> Vec<Size> {
    let edges = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 79];
    let mut sizes: Vec<Size> = (0..150)
        .map(|_| {
            let [rows, len, columns] = [(); 3].map(|()| edges[seed.below(edges.len())]);
            Size { rows, len, columns }
        })
        .collect();
    sizes.push(Size { rows: 32, len: 100, columns: 128 });
    sizes.push(Size { rows: 10, len: 32, columns: 784 });
    sizes
}

#[test]
fn products_have_the_bits_of_their_twin() {
    let seed = &mut Numbers(21);
    for size in sizes(seed) {
        let Size { rows, len, columns } = size;
        let (a, b, bias) = (numbers(rows * len, seed), numbers(len * columns, seed), numbers(columns, seed));
        let flipped = Left { data: &a, row: 1, column: rows };
        let straight = Left { data: &a, row: len, column: 1 };
        let right = Right { data: &b, row: columns };
        for (left, relu) in [(straight, false), (flipped, true)] {
            let after = After { bias: relu.then_some(&bias), relu };
            let mut expected = vec![0.0; rows * columns];
            twin::product(left, right, size, after, &mut expected);
            for width in Width::all() {
                let mut out = vec![f32::NAN; rows * columns];
                kernels::product(width, left, right, size, after, &mut out);
                assert_eq!(out, expected, "{size:?} {width:?}");
            }
        }
        let across = Right { data: &a, row: len };
        let other = numbers(columns * len, seed);
        let after = After { bias: Some(&bias), relu: true };
        let mut expected = vec![0.0; rows * columns];
        twin::dot(across, Right { data: &other, row: len }, size, after, &mut expected);
        for width in Width::all() {
            let mut out = vec![f32::NAN; rows * columns];
            kernels::dot(width, across, Right { data: &other, row: len }, size, after, &mut out);
            assert_eq!(out, expected, "dot, {size:?} {width:?}");
        }
    }
}

#[test]
fn descents_have_the_bits_of_their_twin() {
    let seed = &mut Numbers(22);
    let adam = Adam {
        step: 0.01,
        root: 0.03,
        shrink: 0.999,
        share1: 0.1,
        beta2: 0.999,
        share2: 0.001,
        epsilon: 1e-8,
        decay: 0.0,
        least: -0.9,
        greatest: 0.8,
    };
    for size in sizes(seed) {
        let Size { rows, len, columns } = size;
        let (a, b) = (numbers(rows * len, seed), numbers(len * columns, seed));
        let (left, right) = (Left { data: &a, row: 1, column: rows }, Right { data: &b, row: columns });
        let start = [(); 3].map(|()| numbers(rows * columns, seed).iter().map(|x| x.abs()).collect::<Vec<f32>>());
        let run = |f: &dyn Fn(Moving<'_>)| {
            let [mut param, mut m, mut v] = start.clone();
            f(Moving { param: &mut param, m: &mut m, v: &mut v });
            [param, m, v]
        };
        let expected = run(&|moving| twin::descend(left, right, size, &adam, moving));
        for width in Width::all() {
            let own = run(&|moving| kernels::descend(width, left, right, size, &adam, moving));
            assert_eq!(own, expected, "{size:?} {width:?}");
        }
    }
}
