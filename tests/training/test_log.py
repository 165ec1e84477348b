"""The metrics of a run."""

from unspool.training.log import Log, records


def test_metrics_after_the_checkpoint_are_forgotten(tmp_path):
    log = Log(tmp_path)
    for step in (1, 2, 3):
        log.write("step", step, {"loss": 1.0})
    log.close()
    Log(tmp_path, after=2).close()
    assert [record["step"] for record in records(tmp_path)] == [1, 2]
