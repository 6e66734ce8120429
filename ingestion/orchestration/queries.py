"""The GraphQL texts that the sidecar sends to Dagster where its client has no method."""

__all__ = ["ASSET", "EVENTS", "HISTORY", "LOCATIONS", "ONE", "OVERVIEW", "PENDING", "POOL", "SET_POOL"]

_REPORT = "metadataEntries { label ... on JsonMetadataEntry { jsonString } }"

LOCATIONS = """
query Locations {
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError { __typename ... on PythonError { message causes { message } } }
      }
    }
    ... on PythonError { message }
  }
}
"""

ASSET = """
query Asset($key: [String!]!) {
  assetNodes(assetKeys: [{path: $key}]) { groupName metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } }
}
"""

POOL = "query Pool($pool: String!) { instance { concurrencyLimit(concurrencyKey: $pool) { slotCount limit } } }"

SET_POOL = "mutation SetPool($pool: String!) { setConcurrencyLimit(concurrencyKey: $pool, limit: 1) }"

_PENDING = """
  pending: runsOrError(filter: $pending, limit: 1000) {
    __typename
    ... on Runs { results { runId status tags { key value } assetSelection { path } } }
    ... on PythonError { message }
  }
"""
_LATEST = f"""
  assetsLatestInfo(assetKeys: $keys) {{
    assetKey {{ path }}
    latestMaterialization {{ runId timestamp {_REPORT} }}
    latestRun {{ runId status creationTime startTime }}
  }}
"""
_SCHEDULE = "name scheduleState { status } futureTicks(limit: 1) { results { timestamp } }"

PENDING = f"query Pending($pending: RunsFilter!) {{ {_PENDING} }}"

OVERVIEW = f"""
query Overview($pending: RunsFilter!, $keys: [AssetKeyInput!]!, $repository: RepositorySelector!) {{
  {_PENDING}
  {_LATEST}
  schedulesOrError(repositorySelector: $repository) {{
    ... on Schedules {{ results {{ {_SCHEDULE} }} }}
  }}
}}
"""

ONE = f"""
query One($pending: RunsFilter!, $keys: [AssetKeyInput!]!, $schedule: ScheduleSelector!) {{
  {_PENDING}
  {_LATEST}
  scheduleOrError(scheduleSelector: $schedule) {{
    ... on Schedule {{ {_SCHEDULE} }}
  }}
}}
"""

_EVENTS = f"""
  cursor hasMore
  events {{
    ... on ExecutionStepFailureEvent {{
      failureMetadata {{ {_REPORT} }}
      error {{ className message errorChain {{ error {{ className message }} }} }}
    }}
    ... on RunFailureEvent {{ message error {{ className message }} }}
  }}
"""

EVENTS = f"""
query Events($run: ID!, $after: String!) {{
  runOrError(runId: $run) {{
    __typename
    ... on Run {{ eventConnection(afterCursor: $after, limit: 1000) {{ {_EVENTS} }} }}
    ... on PythonError {{ message }}
  }}
}}
"""

HISTORY = f"""
query History($filter: RunsFilter!, $limit: Int!) {{
  runsOrError(filter: $filter, limit: $limit) {{
    __typename
    ... on Runs {{
      results {{
        runId status creationTime startTime endTime
        assetMaterializations {{ assetKey {{ path }} {_REPORT} }}
        eventConnection(limit: 1000) {{ {_EVENTS} }}
      }}
    }}
    ... on PythonError {{ message }}
  }}
}}
"""
