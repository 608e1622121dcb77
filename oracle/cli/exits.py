"""
What a command's exit code says, and which error becomes which: the one place that decides it.

Errors are known by name, so that answering `--help` imports none of the modules that define them.
An error that is not listed is a mistake in this program.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `poq`."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    AUDIT_MISMATCH = 3
    RPC = 4
    REVERTED = 5
    UNCONFIRMED = 6
    KEY = 7
    UNSAFE_CHAIN = 8
    NOTHING_YET = 9
    INTERRUPTED = 130


class Stop(Exception):
    """A command ends here, with this exit code and a sentence for people."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


CODES = {
    # What the user gave cannot be used.
    "deploy.artifacts.ArtifactNotFound": Exit.USAGE,
    "deploy.deploy.AlreadyDeployed": Exit.USAGE,
    "deploy.deploy.NoToken": Exit.USAGE,
    "deploy.journal.JournalMalformed": Exit.USAGE,
    "deploy.parameters.ParametersInvalid": Exit.USAGE,
    "oracle.audit.columns.AmountTooLarge": Exit.USAGE,
    "oracle.audit.columns.TablesNotWritten": Exit.USAGE,
    "oracle.audit.explanation.NotInRound": Exit.USAGE,
    "oracle.audit.export.ExportMalformed": Exit.USAGE,
    "oracle.audit.export.ExportNotWritten": Exit.USAGE,
    "oracle.audit.storage_file.NotRecorded": Exit.USAGE,
    "oracle.chain.deployment.DeploymentMalformed": Exit.USAGE,
    "oracle.chain.deployment.DeploymentNotFound": Exit.USAGE,
    "oracle.chain.devnet_server.AnvilMissing": Exit.USAGE,
    "oracle.chain.journal.JournalMalformed": Exit.USAGE,
    "oracle.chain.rpc.AgreementImpossible": Exit.USAGE,
    "oracle.chain.state.UnknownNode": Exit.USAGE,
    "oracle.core.reveals.RevealRefused": Exit.USAGE,
    "oracle.core.settlement.QuorumMissing": Exit.USAGE,
    "oracle.core.settlement.SeatMissing": Exit.USAGE,
    "oracle.core.units.ScoreAboveOne": Exit.USAGE,
    "oracle.core.units.WrongLength": Exit.USAGE,
    "oracle.evaluators.calibration.CalibrationError": Exit.USAGE,
    "oracle.evaluators.evaluation.EvaluatorError": Exit.USAGE,
    "oracle.evaluators.quantise.QuantiseError": Exit.USAGE,
    "oracle.evaluators.workload.WorkloadError": Exit.USAGE,
    "oracle.demo.processes.ServiceFailed": Exit.INTERNAL,
    "oracle.demo.live.NotSettled": Exit.INTERNAL,
    "oracle.service.models.ModelMissing": Exit.USAGE,
    "oracle.service.models.ModelUnknown": Exit.USAGE,
    "oracle.service.requester.PromptsMalformed": Exit.USAGE,
    "oracle.service.directory.DirectoryUnusable": Exit.USAGE,
    "oracle.service.serving.CannotListen": Exit.USAGE,
    "oracle.service.subject.SettingUnusable": Exit.USAGE,
    "oracle.study.configuration.ConfigurationInvalid": Exit.USAGE,
    "oracle.study.datasets.DatasetError": Exit.USAGE,
    "oracle.study.runner.ClusterUnreachable": Exit.USAGE,
    "oracle.study.planner.PlanImpossible": Exit.USAGE,
    # The node gives no answer that helps.
    "eth_abi.exceptions.DecodingError": Exit.RPC,
    "oracle.audit.fetch.BranchAbandoned": Exit.RPC,
    "oracle.audit.fetch.NodeInconsistent": Exit.RPC,
    "oracle.audit.reader.StorageUnavailable": Exit.RPC,
    "oracle.chain.logs.LogsUnavailable": Exit.RPC,
    "oracle.chain.logs.NodeBehind": Exit.RPC,
    "oracle.chain.logs.NotCanonical": Exit.RPC,
    "oracle.chain.rounds.LogMissing": Exit.RPC,
    "oracle.chain.rpc.RpcUnreachable": Exit.RPC,
    "oracle.chain.transactions.Refused": Exit.RPC,
    "oracle.service.requester.NodeFailed": Exit.RPC,
    "oracle.service.subject.NodeUnhealthy": Exit.RPC,
    "web3.exceptions.Web3Exception": Exit.RPC,
    # The chain says no, or not yet.
    "deploy.deploy.NonceTaken": Exit.REVERTED,
    "oracle.chain.errors.Reverted": Exit.REVERTED,
    "oracle.chain.transactions.Unconfirmed": Exit.UNCONFIRMED,
    "oracle.service.subject.NotServing": Exit.REVERTED,
    "oracle.service.subject.TransactionsStuck": Exit.UNCONFIRMED,
    "oracle.audit.explanation.NotEnded": Exit.NOTHING_YET,
    "oracle.chain.fees.FeeTooHigh": Exit.NOTHING_YET,
    "oracle.chain.sender.NotPending": Exit.NOTHING_YET,
    # The key cannot do it.
    "oracle.chain.keys.KeyUnusable": Exit.KEY,
    "oracle.chain.transactions.Unfunded": Exit.KEY,
    "oracle.service.subject.KeyUnfit": Exit.KEY,
    # The chain is not the one that was meant.
    "deploy.deploy.DeploymentBroken": Exit.UNSAFE_CHAIN,
    "oracle.chain.follower.ReorganisedPastFinality": Exit.UNSAFE_CHAIN,
    "oracle.chain.rpc.WrongChain": Exit.UNSAFE_CHAIN,
    "oracle.service.subject.UnsafeChain": Exit.UNSAFE_CHAIN,
}


def exit_of(error: BaseException) -> Exit:
    """Return the exit code of an error, by its class or the nearest of its bases."""
    if isinstance(error, Stop):
        return error.code
    for kind in type(error).__mro__:
        if (code := CODES.get(f"{kind.__module__}.{kind.__qualname__}")) is not None:
            return code
    return Exit.INTERNAL
