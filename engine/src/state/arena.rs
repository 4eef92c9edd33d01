//! A slab of values that do not fit a slot: handles in, values out, freed places used again.

/// Holds values under `u32` handles. A handle is good from `insert` to `remove`.
#[derive(Debug)]
pub struct Arena<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
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

    /// Gives the place back.
    pub fn remove(&mut self, handle: u32) -> T {
        self.free.push(handle);
        self.places[handle as usize].take().expect("invariant INV-ARENA: a handle is removed once")
    }
}
