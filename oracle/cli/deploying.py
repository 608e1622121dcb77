"""
`poq deploy`: put the contracts on a chain and describe where they are.
"""

from __future__ import annotations

from typing import Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Writing, with_options


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(with_options(deploy))


def deploy(
    writing: Writing,
    parameters: Annotated[
        str, typer.Option("--parameters", help="local, testnet, or a TOML file like those.")
    ],
    token: Annotated[
        str | None, typer.Option("--token", help="The ERC-20 of stakes and rewards.")
    ] = None,
    mock_token: Annotated[
        bool, typer.Option("--mock-token", help="Deploy a token that anybody can mint.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the deployment that is there.")
    ] = False,
) -> None:
    """
    Deploy NodeRegistry and QualityRounds, and write deployments/<chain id>/.

    Interrupted, it can be called again and goes on where it was.

    Example: poq deploy --parameters local --mock-token --account deployer
    """
    from deploy.deploy import deploy_into, rehearse
    from deploy.parameters import load_parameters
    from oracle.chain.rpc import connect
    from oracle.chain.transactions import Transactor
    from oracle.cli.session import ATTEMPTS, ask, reverts
    from oracle.cli.signing import address_of, signer_of

    if (token is None) is not mock_token:
        raise Stop(Exit.USAGE, "Say either --token ADDRESS or --mock-token.")
    output = writing.output()
    chosen = load_parameters(parameters)
    address = None if token is None else address_of(token, writing.keystore)
    signer = signer_of(writing, output)
    web3 = connect(writing.rpc_url, agree=writing.agree, chain_id=writing.chain, attempts=ATTEMPTS)
    chain_id = web3.eth.chain_id
    transactor = Transactor(
        web3,
        signer,
        reverts(),
        dry_run=writing.dry_run,
        confirmations=writing.confirmations,
    )
    if writing.dry_run:
        plan = rehearse(transactor, chosen.registry, address)
        output.say("Dry run, nothing is sent. Creating the registry would succeed.")
        found = {"token": plan.token, "registry": plan.registry, "rounds": plan.rounds}
        output.data("plan", {"chainId": chain_id, **found})
        return
    ask(f"Deploy to chain {chain_id} with the {parameters} parameters?", chain_id, writing)
    deployment = deploy_into(writing.deployments, transactor, chosen, address, force=force)
    output.say(f"Written to {writing.deployments / str(chain_id)}.")
    output.data(
        "deployment",
        {
            "chainId": chain_id,
            "token": deployment.token,
            "registry": deployment.registry.address,
            "rounds": deployment.rounds.address,
            "startBlock": deployment.start_block,
        },
    )
