# kft on GPUs: docker build --file docker/gpu.Dockerfile --tag IMAGE . (in the root of the repository)
#
# tensorflow[and-cuda] brings CUDA and cuDNN as Python packages; of the host it needs the driver alone.
FROM python:3.11-slim

ENV KERAS_BACKEND=tensorflow \
    KFT_CACHE=/var/cache/kft \
    PYTHONUNBUFFERED=1

RUN pip install --no-cache-dir "tensorflow[and-cuda]>=2.21,<2.22"

COPY . /src
RUN pip install --no-cache-dir "/src[gcs]" && rm -r /src

ENTRYPOINT ["kft"]
CMD ["doctor"]
