pub(super) mod assign_plan;
pub(super) mod list_users;
