//! Actions: the configured sinks, by the settings that a delivery carries.
//!
//! A program that embeds the runtime may handle events itself: `{ type = "handler", name = "charge" }` calls the function that it registered.
//!
//! ```no_run
//! # use std::sync::Arc;
//! use thalweg::config::{Config, Environment};
//! use thalweg::runtime::actions::{Failure, environment_and_files};
//! use thalweg::runtime::launch::{self, Launch};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load("thalweg.toml".as_ref(), &Environment::process())?;
//! let (_stop, stopped) = tokio::sync::watch::channel(false);
//! let secrets = Arc::new(environment_and_files);
//! let mut setup = launch::setup(Launch { config, data: None, until_idle: None, secrets, stop: stopped })?;
//! setup.sinks.handlers.on("charge", |event| match event.data()["total"].as_f64() {
//!     Some(_) => Ok(()), // Charges `event.id` once, however often it is asked.
//!     None => Err(Failure::Retry("the total is not known yet".into())),
//! });
//! thalweg::runtime::start(setup).await?.wait().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A delivery keeps the settings it was fired with, so a changed definition changes later firings only. Settings hold references
//! to secrets, never secrets.

use std::sync::Arc;

use thalweg_graph::plan::{Effect, EffectKind, EffectMode, Plan};
use thalweg_graph::ports::{Manner, Sink};
use thalweg_graph::spec::{ActionSpec, Finding, Place, Severity};
use thalweg_sinks::{AckPolicy, DeliveryPolicy, HELD, RetryPolicy, SettingProblem};

pub use thalweg_sinks::secret::environment_and_files;
pub use thalweg_sinks::{Event, Failure, Handlers, Resolver, SinkContext};

/// One action, ready to render and deliver.
pub struct Action {
    /// Its settings, as stored with every delivery.
    pub settings: Arc<str>,
    /// The sink, or why there is none.
    pub sink: Result<Arc<dyn Sink>, String>,
    /// When it is tried again.
    pub retry: RetryPolicy,
    /// Its order, its rate, its acknowledgement.
    pub policy: DeliveryPolicy,
    /// How its deliveries stand to those before them.
    pub manner: Manner,
    /// Where it goes, if that is shared with others.
    pub endpoint: Option<Arc<str>>,
}

/// Builds actions in one context.
pub struct Actions {
    context: SinkContext,
}

impl Actions {
    /// Actions with this default secret, egress policy and database.
    pub fn new(context: SinkContext) -> Self {
        Self { context }
    }

    /// An action from its definition.
    ///
    /// # Errors
    /// Every setting that is wrong.
    pub fn build(&self, spec: &ActionSpec) -> Result<Action, Vec<SettingProblem>> {
        let sink = thalweg_sinks::build(spec, &self.context);
        let retry = RetryPolicy::from_settings(&spec.kind, &spec.settings);
        let policy = DeliveryPolicy::from_settings(&spec.kind, &spec.settings);
        match (sink, retry, policy) {
            (Ok(sink), Ok(retry), Ok(policy)) => {
                let endpoint = policy.endpoint.as_deref().map(Arc::from);
                let after_previous = policy.after_previous;
                let digest = policy.digest.as_ref().map(|policy| policy.digest);
                let manner = Manner { after_previous, digest, ..Manner::default() };
                Ok(Action { settings: stored(spec), sink: Ok(sink), retry, policy, manner, endpoint })
            }
            (sink, retry, policy) => Err(sink.err().into_iter().chain(retry.err()).chain(policy.err()).flatten().collect()),
        }
    }

    /// An action from stored settings; one that cannot be built any more refuses each attempt with the reason.
    pub fn from_settings(&self, settings: &Arc<str>) -> Arc<Action> {
        let spec: Result<ActionSpec, String> = serde_json::from_str(settings).map_err(|error| error.to_string());
        let built = spec.and_then(|spec| {
            self.build(&spec).map_err(|problems| {
                problems.into_iter().map(|p| format!("{}: {}", p.problem.code, p.problem.message)).collect::<Vec<_>>().join("; ")
            })
        });
        Arc::new(built.unwrap_or_else(|error| Action {
            settings: settings.clone(),
            sink: Err(error),
            retry: RetryPolicy::default(),
            policy: DeliveryPolicy::default(),
            manner: Manner::default(),
            endpoint: None,
        }))
    }

    /// Every action of a plan: `[effects, reactions][rule][action]`.
    ///
    /// # Errors
    /// Every setting that is wrong, with its place in the definition.
    pub fn of_plan(&self, plan: &Plan) -> Result<PlanActions, Vec<Finding>> {
        let mut findings = Vec::new();
        let effects = plan.effects.iter().enumerate().map(|(i, e)| self.of_effect(i, e, &mut findings)).collect();
        let reactions = plan.reactions.iter().map(|r| self.all(false, r.rule as usize, &r.actions, &mut findings)).collect();
        // One rule over several tables is several reactions with the same actions.
        findings.sort_by(|a: &Finding, b: &Finding| a.place.cmp(&b.place));
        findings.dedup();
        if findings.is_empty() { Ok(PlanActions { effects, reactions }) } else { Err(findings) }
    }

    /// The actions of an effect, with what it asks of each of them.
    fn of_effect(&self, owner: usize, effect: &Effect, findings: &mut Vec<Finding>) -> Vec<Action> {
        let mut specs = effect.actions.clone();
        if let EffectMode::Ack(wait) | EffectMode::Count(wait) = effect.mode {
            if specs.is_empty() {
                specs.push(ActionSpec { kind: HELD.into(), ..ActionSpec::default() });
            }
            let ack = AckPolicy { timeout_us: wait.timeout_us, retries: wait.retries };
            specs.iter_mut().for_each(|spec| drop(spec.settings.insert("ack".into(), ack.to_json())));
        }
        let mut actions = self.all(true, owner, &specs, findings);
        for action in &mut actions {
            action.manner.coalesces = effect.kind == EffectKind::Boolean;
            action.manner.unordered = matches!(effect.mode, EffectMode::Count(_));
        }
        actions
    }

    fn all(&self, effect: bool, owner: usize, specs: &[ActionSpec], findings: &mut Vec<Finding>) -> Vec<Action> {
        let mut actions = Vec::new();
        for (action, spec) in specs.iter().enumerate() {
            match self.build(spec) {
                Ok(built) => actions.push(built),
                Err(problems) => findings.extend(problems.into_iter().map(|SettingProblem { key, problem }| Finding {
                    severity: Severity::Error,
                    place: Place::Action { effect, owner, action, key },
                    problem,
                })),
            }
        }
        actions
    }
}

/// The built actions of every rule of a plan.
pub struct PlanActions {
    /// By effect.
    pub effects: Vec<Vec<Action>>,
    /// By reaction.
    pub reactions: Vec<Vec<Action>>,
}

fn stored(spec: &ActionSpec) -> Arc<str> {
    serde_json::to_string(spec).expect("an action's settings are JSON").into()
}
