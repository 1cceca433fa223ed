//! The filters against a second reading of their definition (design 5), written without looking at the first.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct GivenCall {
    source: Option<&'static str>,
    virtual_number: Option<&'static str>,
    campaign: Option<i64>,
    scenario: Option<i64>,
    attributes: Vec<&'static str>,
    tags: Vec<Option<i64>>,
}

impl GivenCall {
    fn traits(&self) -> Traits<'_> {
        Traits {
            source: self.source,
            virtual_number: self.virtual_number,
            campaign: self.campaign,
            scenario: self.scenario,
            attributes: self.attributes.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// The definition, sentence by sentence.
fn is_kept(filters: &Filters, call: &GivenCall) -> bool {
    // `include: primary` keeps calls whose `attributes` contain `primary`; `tagged` those with at least one tag.
    let included = filters.include == Include::All
        || (filters.include == Include::Primary && call.attributes.contains(&"primary"))
        || (filters.include == Include::Tagged && !call.tags.is_empty());
    // `tags`: when given, only calls that carry one of them.
    let carried = filters.tags.iter().filter(|wanted| call.tags.iter().any(|tag| tag == &Some(**wanted))).count();
    let tag_asked_for = filters.tags.is_empty() || carried > 0;
    // A channel is static when its `source` is none of the dynamic ones.
    let is_dynamic = matches!(call.source, Some("dynamic_call_tracking" | "simple_dt"));
    let static_named = match &filters.channels.statics {
        StaticChannels::None => false,
        StaticChannels::All => true,
        StaticChannels::Named(named) => [
            named.sources.iter().any(|source| call.source == Some(source)),
            named.virtual_numbers.iter().any(|number| call.virtual_number == Some(number)),
            named.campaigns.iter().any(|campaign| call.campaign == Some(*campaign)),
            named.scenarios.iter().any(|scenario| call.scenario == Some(*scenario)),
        ]
        .contains(&true),
    };
    let channel = (is_dynamic && filters.channels.dynamic) || (!is_dynamic && static_named);
    included && tag_asked_for && channel
}

const SOURCES: [&str; 4] = ["dynamic_call_tracking", "simple_dt", "call_tracking", "sip"];
const NUMBERS: [&str; 3] = ["74990004501", "78120004502", ""];
const ATTRIBUTES: [&str; 4] = ["first", "primary", "secondary", "lost"];

fn call() -> impl Strategy<Value = GivenCall> {
    (
        prop::option::of(prop::sample::select(&SOURCES)),
        prop::option::of(prop::sample::select(&NUMBERS)),
        prop::option::of(-1_i64..3),
        prop::option::of(0_i64..3),
        prop::sample::subsequence(ATTRIBUTES.to_vec(), 0..=4),
        prop::collection::vec(prop::option::weighted(0.9, 0_i64..4), 0..3),
    )
        .prop_map(|(source, virtual_number, campaign, scenario, attributes, tags)| GivenCall {
            source,
            virtual_number,
            campaign,
            scenario,
            attributes,
            tags,
        })
}

fn filters() -> impl Strategy<Value = Filters> {
    let texts = |from: &[&'static str]| {
        let texts: Vec<String> = from.iter().map(|text| (*text).to_owned()).collect();
        prop::sample::subsequence(texts, 0..=from.len()).prop_map(BTreeSet::from_iter)
    };
    let named = (
        texts(&SOURCES),
        texts(&NUMBERS),
        prop::collection::btree_set(-1_i64..3, 0..2),
        prop::collection::btree_set(0_i64..3, 0..2),
    )
        .prop_map(|(sources, virtual_numbers, campaigns, scenarios)| {
            StaticChannels::Named(NamedChannels { sources, virtual_numbers, campaigns, scenarios })
        });
    let statics = prop_oneof![1 => Just(StaticChannels::None), 1 => Just(StaticChannels::All), 3 => named];
    let include = prop::sample::select(&[Include::All, Include::Primary, Include::Tagged]);
    (include, prop::collection::btree_set(0_i64..4, 0..3), any::<bool>(), statics).prop_map(
        |(include, tags, dynamic, statics)| Filters { include, tags, channels: Channels { dynamic, statics } },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn filters_agree_with_a_direct_reading_of_their_definition(filters in filters(), call in call()) {
        prop_assert_eq!(filters.judge(&call.traits()).is_ok(), is_kept(&filters, &call));
    }

    #[test]
    fn the_reason_names_a_question_that_the_call_fails(filters in filters(), call in call()) {
        let Err(why) = filters.judge(&call.traits()) else { return Ok(()) };
        // Without the question that was failed, the call passes or fails another one: never the same again.
        let mut relaxed = filters;
        match why {
            LeftOut::NotPrimary | LeftOut::Untagged => relaxed.include = Include::All,
            LeftOut::NoneOfTheTags => relaxed.tags.clear(),
            LeftOut::DynamicChannel => relaxed.channels.dynamic = true,
            LeftOut::StaticChannel => relaxed.channels.statics = StaticChannels::All,
        }
        prop_assert_ne!(relaxed.judge(&call.traits()), Err(why));
    }
}

#[test]
fn by_default_only_dynamic_channels_are_published() {
    let filters = Filters {
        include: Include::default(),
        tags: BTreeSet::new(),
        channels: Channels { dynamic: true, statics: StaticChannels::default() },
    };
    let through = |source| Traits { source, ..Traits::default() };
    assert_eq!(filters.judge(&through(Some("dynamic_call_tracking"))), Ok(()));
    assert_eq!(filters.judge(&through(Some("simple_dt"))), Ok(()));
    assert_eq!(filters.judge(&through(Some("call_tracking"))), Err(LeftOut::StaticChannel));
    assert_eq!(filters.judge(&through(None)), Err(LeftOut::StaticChannel));
}

#[test]
fn every_reason_has_a_label_and_an_explanation_of_its_own() {
    let labels: BTreeSet<&str> = LeftOut::ALL.iter().map(|why| why.as_str()).collect();
    let explanations: BTreeSet<&str> = LeftOut::ALL.iter().map(|why| why.explain()).collect();
    assert_eq!((labels.len(), explanations.len()), (LeftOut::ALL.len(), LeftOut::ALL.len()));
}
