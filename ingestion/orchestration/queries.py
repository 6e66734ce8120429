"""The GraphQL texts that the sidecar sends to Dagster where its client has no method."""

__all__ = ["ASSET", "HISTORY", "LOCATIONS", "OVERVIEW", "PENDING"]

_REPORT = "metadataEntries { label ... on JsonMetadataEntry { jsonString } }"

LOCATIONS = """
query Locations {
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries { name loadStatus locationOrLoadError { __typename ... on PythonError { message } } }
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

PENDING = """
query Pending($pending: RunsFilter!) {
  pending: runsOrError(filter: $pending, limit: 1000) {
    __typename
    ... on Runs { results { runId status tags { key value } assetSelection { path } } }
    ... on PythonError { message }
  }
}
"""

OVERVIEW = f"""
query Overview($pending: RunsFilter!, $keys: [AssetKeyInput!]!, $repository: RepositorySelector!) {{
  pending: runsOrError(filter: $pending, limit: 1000) {{
    __typename
    ... on Runs {{ results {{ runId status tags {{ key value }} assetSelection {{ path }} }} }}
    ... on PythonError {{ message }}
  }}
  assetsLatestInfo(assetKeys: $keys) {{
    assetKey {{ path }}
    latestMaterialization {{ runId timestamp {_REPORT} }}
    latestRun {{ runId status creationTime startTime }}
  }}
  schedulesOrError(repositorySelector: $repository) {{
    __typename
    ... on Schedules {{
      results {{ name scheduleState {{ status }} futureTicks(limit: 1) {{ results {{ timestamp }} }} }}
    }}
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
        eventConnection(limit: 1000) {{
          events {{
            ... on ExecutionStepFailureEvent {{
              failureMetadata {{ {_REPORT} }}
              error {{ className message errorChain {{ error {{ className message }} }} }}
            }}
            ... on RunFailureEvent {{ message error {{ className message }} }}
          }}
        }}
      }}
    }}
    ... on PythonError {{ message }}
  }}
}}
"""
