//! A slab of values that do not fit a slot: handles in, values out, freed places used again.

use super::blocks::Blocks;

/// Holds values under `u32` handles. A handle is good from `insert` to `remove`.
#[derive(Debug)]
pub struct Arena<T> {
    places: Blocks<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { places: Blocks::default(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    /// Keeps `value` and gives its handle.
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(handle) => {
                self.places[handle as usize] = Some(value);
                handle
            }
            None => {
                self.places.push(Some(value));
                self.places.len() as u32 - 1
            }
        }
    }

    /// The value behind a handle.
    pub fn get(&self, handle: u32) -> &T {
        self.places[handle as usize].as_ref().expect("invariant INV-ARENA: a handle is used between insert and remove")
    }

    /// The value behind a handle, to be changed.
    pub fn get_mut(&mut self, handle: u32) -> &mut T {
        self.places[handle as usize].as_mut().expect("invariant INV-ARENA: a handle is used between insert and remove")
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    /// Gives the place back.
    pub fn remove(&mut self, handle: u32) -> T {
        self.free.push(handle);
        self.places[handle as usize].take().expect("invariant INV-ARENA: a handle is removed once")
    }
}
