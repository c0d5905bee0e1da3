# kft serve without TensorFlow: docker build --file docker/serve.Dockerfile --tag IMAGE . (in the root of the repository)
#
#   docker run -p 127.0.0.1:8000:8000 -v $PWD/tickets-onnx:/model:ro -e KFT_TOKEN=... IMAGE /model
#
# For artifacts in the format onnx; another format needs its runtime in place of onnxruntime (docs/shipping.md).
FROM python:3.11-slim

ENV KFT_CACHE=/var/cache/kft \
    PYTHONUNBUFFERED=1

COPY docker/requirements-serve.txt /tmp/
RUN pip install --no-cache-dir --requirement /tmp/requirements-serve.txt

COPY . /src
RUN pip install --no-cache-dir --no-deps /src && rm -r /src \
 && useradd --uid 10001 --no-create-home kft && mkdir -p /var/cache/kft && chown kft /var/cache/kft

USER 10001
EXPOSE 8000
# Other machines reach a container, so that it asks for a token: KFT_TOKEN, or --token-file.
ENTRYPOINT ["kft", "serve", "--host", "0.0.0.0", "--port", "8000"]
