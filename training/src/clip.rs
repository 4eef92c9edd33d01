//! Clipping: gradients that are too large are made smaller before the step.

/// How a gradient is made smaller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// The whole gradient is scaled so that its length is at most this; its direction stays.
    Norm(f64),
    /// Each part is at most this from 0.
    Value(f64),
}

impl Clip {
    /// Clips the whole gradient of a goal in place. O(n).
    pub fn apply(self, gradient: &mut [f64]) {
        match self {
            Clip::Norm(most) => {
                let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                if norm >= most {
                    gradient.iter_mut().for_each(|g| *g = *g / norm * most);
                }
            }
            Clip::Value(most) => gradient.iter_mut().for_each(|g| *g = g.clamp(-most, most)),
        }
    }
}
