pub(super) mod list_plans;
