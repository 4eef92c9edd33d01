//! The settings of an optimiser as a definition writes them: `{ kind = "adamw", lr = 0.001, schedule = { kind = "cosine", steps = 1000 } }`.
//!
//! Names and defaults are PyTorch's, but for Lion, whose are optax's. A name that a rule does not have is refused, so no setting does
//! nothing.

use serde_json::{Map, Value};

use crate::{Clip, Optimizer, Rule, Schedule};

/// The rules by name.
pub const RULES: [&str; 7] = ["sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "lbfgs"];

/// The schedules by name.
pub const SCHEDULES: [&str; 8] = ["constant", "step", "exponential", "cosine", "linear", "polynomial", "restarts", "one-cycle"];

impl Optimizer {
    /// Reads settings. `lr` is 0.001 where it is not given, and 0.01 for `sgd` and `rmsprop`, `adagrad`; 1 for `lbfgs`; 1e-4 for `lion`.
    ///
    /// # Errors
    /// What is wrong, lower case, without a full stop: an unknown name, a value that does not fit.
    pub fn read(settings: &Map<String, Value>) -> Result<Optimizer, String> {
        let mut from = Settings { what: String::new(), left: settings.clone() };
        let kind = from.word("kind")?.unwrap_or_else(|| "adam".into());
        from.what = kind.clone();
        let rule = rule(&kind, &mut from)?;
        let rate = from.at_least("lr", default_rate(&rule), 0.0)?;
        let schedule = match from.left.remove("schedule") {
            None => Schedule::Constant,
            Some(Value::Object(settings)) => read_schedule(settings)?,
            Some(_) => return Err("`schedule` is written { kind = \"cosine\", steps = 1000 }".into()),
        };
        let norm = from.positive("clip_norm")?.map(Clip::Norm);
        let clip = from.positive("clip_value")?.map(Clip::Value);
        if norm.is_some() && clip.is_some() {
            return Err("`clip_norm` and `clip_value` are two ways to clip: write one of them".into());
        }
        from.nothing_left()?;
        Ok(Optimizer { rule, rate, schedule, clip: norm.or(clip) })
    }
}

fn default_rate(rule: &Rule) -> f64 {
    match rule {
        Rule::Sgd { .. } | Rule::RmsProp { .. } | Rule::Adagrad { .. } => 0.01,
        Rule::Adam { .. } => 0.001,
        Rule::Lion { .. } => 0.0001,
        Rule::Lbfgs { .. } => 1.0,
    }
}

fn rule(kind: &str, from: &mut Settings) -> Result<Rule, String> {
    Ok(match kind {
        "sgd" => {
            let (momentum, dampening) = (from.share("momentum", 0.0)?, from.share("dampening", 0.0)?);
            let (nesterov, decay) = (from.flag("nesterov")?, from.at_least("weight_decay", 0.0, 0.0)?);
            if nesterov && (momentum == 0.0 || dampening != 0.0) {
                return Err("`nesterov` needs `momentum`, and no `dampening`".into());
            }
            Rule::Sgd { momentum, dampening, nesterov, decay }
        }
        "adam" | "adamw" => Rule::Adam {
            beta1: from.beta(0, 0.9)?,
            beta2: from.beta(1, 0.999)?,
            epsilon: from.at_least("eps", 1e-8, 0.0)?,
            decay: from.at_least("weight_decay", if kind == "adamw" { 0.01 } else { 0.0 }, 0.0)?,
            decoupled: kind == "adamw",
            amsgrad: from.flag("amsgrad")?,
        },
        "rmsprop" => Rule::RmsProp {
            alpha: from.share("alpha", 0.99)?,
            epsilon: from.at_least("eps", 1e-8, 0.0)?,
            inside: from.flag("eps_in_root")?,
            momentum: from.share("momentum", 0.0)?,
            centered: from.flag("centered")?,
        },
        "adagrad" => Rule::Adagrad {
            fall: from.at_least("lr_decay", 0.0, 0.0)?,
            initial: from.at_least("initial", 0.0, 0.0)?,
            epsilon: from.at_least("eps", 1e-10, 0.0)?,
        },
        "lion" => {
            let (beta1, beta2) = (from.beta(0, 0.9)?, from.beta(1, 0.99)?);
            Rule::Lion { beta1, beta2, decay: from.at_least("weight_decay", 0.001, 0.0)? }
        }
        "lbfgs" => Rule::Lbfgs { history: from.within("history", Some(10), 1, 1000)? as usize },
        other => return Err(format!("there is no optimiser `{other}`: {}", RULES.join(", "))),
    })
}

fn read_schedule(settings: Map<String, Value>) -> Result<Schedule, String> {
    let mut from = Settings { what: String::new(), left: settings };
    let kind = from.word("kind")?.ok_or_else(|| format!("a schedule needs its `kind`: {}", SCHEDULES.join(", ")))?;
    from.what = format!("the schedule {kind}");
    let schedule = match kind.as_str() {
        "constant" => Schedule::Constant,
        "step" => Schedule::Step { every: from.steps("every")?, factor: from.at_least("factor", 0.1, 0.0)? },
        "exponential" => Schedule::Exponential { factor: from.at_least("factor", 0.9, 0.0)? },
        "cosine" => match from.count("warmup")? {
            None => Schedule::Cosine { steps: from.steps("steps")?, floor: from.at_least("floor", 0.0, 0.0)? },
            Some(warmup) => Schedule::WarmupCosine { warmup, steps: from.steps("steps")? },
        },
        "linear" => Schedule::Linear { from: from.share("from", 1.0 / 3.0)?, steps: from.steps("steps")? },
        "polynomial" => Schedule::Polynomial { steps: from.steps("steps")?, power: from.at_least("power", 1.0, 0.0)? },
        "restarts" => Schedule::Restarts {
            first: from.steps("first")?,
            multiply: from.within("multiply", Some(1), 1, 1000)?,
            floor: from.at_least("floor", 0.0, 0.0)?,
        },
        "one-cycle" => Schedule::OneCycle { steps: from.within("steps", None, 8, u64::MAX)? },
        other => return Err(format!("there is no schedule `{other}`: {}", SCHEDULES.join(", "))),
    };
    from.nothing_left()?;
    Ok(schedule)
}

/// Settings that are taken one by one; `what` they are of.
struct Settings {
    what: String,
    left: Map<String, Value>,
}

impl Settings {
    fn word(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Value::String(word)) => Ok(Some(word)),
            Some(other) => Err(format!("`{name}` is a name, not {other}")),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.left.remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(format!("`{name}` is true or false, not {other}")),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<f64>, String> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("`{name}` is a number, not {value}")),
        }
    }

    fn at_least(&mut self, name: &str, default: f64, least: f64) -> Result<f64, String> {
        match self.number(name)? {
            Some(x) if x.is_nan() || x < least => Err(format!("`{name}` is at least {least}, not {x}")),
            x => Ok(x.unwrap_or(default)),
        }
    }

    fn positive(&mut self, name: &str) -> Result<Option<f64>, String> {
        match self.number(name)? {
            Some(x) if x.is_nan() || x <= 0.0 => Err(format!("`{name}` is above 0, not {x}")),
            x => Ok(x),
        }
    }

    /// A share from 0 up to 1, 1 apart.
    fn share(&mut self, name: &str, default: f64) -> Result<f64, String> {
        let x = self.number(name)?.unwrap_or(default);
        if (0.0..=1.0).contains(&x) { Ok(x) } else { Err(format!("`{name}` is from 0 to 1, not {x}")) }
    }

    /// One of the two numbers of `betas`, or of the default.
    fn beta(&mut self, which: usize, default: f64) -> Result<f64, String> {
        let betas = if which == 0 { self.left.get("betas").cloned() } else { self.left.remove("betas") };
        let Some(betas) = betas else { return Ok(default) };
        let pair = betas.as_array().filter(|betas| betas.len() == 2);
        let beta = pair.and_then(|betas| betas[which].as_f64()).filter(|beta| (0.0..1.0).contains(beta));
        beta.ok_or_else(|| "`betas` are two numbers from 0 to below 1: [0.9, 0.999]".into())
    }

    fn count(&mut self, name: &str) -> Result<Option<u64>, String> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("`{name}` is a whole number, not {value}")),
        }
    }

    fn within(&mut self, name: &str, default: Option<u64>, least: u64, most: u64) -> Result<u64, String> {
        match self.count(name)?.or(default) {
            Some(n) if (least..=most).contains(&n) => Ok(n),
            Some(n) if n < least => Err(format!("`{name}` is at least {least}, not {n}")),
            Some(n) => Err(format!("`{name}` is at most {most}, not {n}")),
            None => Err(format!("{} needs `{name}`, a number of steps", self.what)),
        }
    }

    fn steps(&mut self, name: &str) -> Result<u64, String> {
        self.within(name, None, 1, u64::MAX)
    }

    fn nothing_left(&self) -> Result<(), String> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("{} has no setting `{name}`", self.what)),
        }
    }
}
