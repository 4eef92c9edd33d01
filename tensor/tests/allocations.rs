//! A step allocates nothing: counted by the allocator itself, in a process of its own.

#![allow(unsafe_code)] // An allocator cannot be had without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use thalweg_tensor::step::Element;
use thalweg_tensor::{Dtype, Free, Graph, Step};
use thalweg_training::Optimizer;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn network<T: Element>(batch: usize, sizes: &[usize]) -> Step<T> {
    let mut g = Graph::new();
    let mut layer = g.input("x", T::DTYPE, [batch, sizes[0]]);
    let class = g.input("class", Dtype::Index { below: sizes[sizes.len() - 1] }, [batch]);
    let mut free = Vec::new();
    for pair in sizes.windows(2) {
        let (w, b) = (g.input("w", T::DTYPE, pair), g.input("b", T::DTYPE, &pair[1..]));
        free.extend([Free::anywhere(w), Free::anywhere(b)]);
        layer = g.matmul(layer, w).and_then(|product| g.add(product, b)).and_then(|x| g.tanh(x)).unwrap();
    }
    let loss = g.cross_entropy(layer, class).unwrap();
    Step::compile(&g, loss, &[], &free, &Optimizer::named("adamw", 0.001).unwrap()).unwrap()
}

/// How many in a hundred runs.
fn allocations<T: Element>(mut step: Step<T>) -> usize {
    let before = COUNT.get();
    for _ in 0..100 {
        step.run();
    }
    COUNT.get() - before
}

#[test]
fn a_step_allocates_nothing() {
    assert_eq!(allocations(network::<f32>(32, &[784, 10])), 0);
    assert_eq!(allocations(network::<f32>(32, &[784, 128, 10])), 0);
    assert_eq!(allocations(network::<f64>(32, &[64, 32, 10])), 0);
    let mut g = Graph::new();
    let price = g.input("price", Dtype::F64, []);
    let loss = g.target(price, 17.0, 1.0).unwrap();
    let adam = Optimizer::named("adam", 0.5).unwrap();
    assert_eq!(allocations(Step::<f64>::compile(&g, loss, &[], &[Free::anywhere(price)], &adam).unwrap()), 0);
}
