"""The report: one self-contained page and one machine-readable file per run.

It is a component, not a part of ``pipelines/``, because on a managed pipeline it must run
as a step inside the container image like every other step, and imports never go from
components back to pipelines. After a local run the runner calls
:func:`components.report.write.write_report` once more to add what only it knows:
timings, and what came from the cache.

==================  ===========================================================
``data.py``         what a page shows, as plain dataclasses
``collect.py``      artifacts -> ``data``; with ``rows.py`` (predictions),
                    ``evidence.py`` (quality) and ``blessing.py`` (evaluation)
``scores.py``       prediction rows -> accuracies with intervals
``restoration.py``  prediction rows -> PSNR and SSIM of the denoiser
``verdict.py``      the answer in plain words
``charts.py``       numbers -> SVG
``render.py``       ``data`` -> HTML (templates in ``templates/``)
``machine.py``      ``data`` -> ``metrics.json``, whose keys it documents
``scoring.py``      prediction rows -> CSV, Parquet and the Kaggle submission
``write.py``        artifacts -> files: what the component and the runner call
==================  ===========================================================
"""
